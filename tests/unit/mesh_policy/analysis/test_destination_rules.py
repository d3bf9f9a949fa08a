"""DestinationRules: hosts, subsets, TLS and outlier detection."""

import pytest

from mesh_policy.analysis.context import Knowledge
from mesh_policy.analysis.hosts import KnownService
from mesh_policy.analysis.pods import KnownWorkload
from tests.unit.mesh_policy.analysis.cases import document, findings, pod, service, told

EJECT = "{host: books, trafficPolicy: {outlierDetection: {%s}}}"


def rule(spec: str) -> str:
    return document("DestinationRule", "r", spec)


def deployment(replicas: int) -> str:
    template = "template: {metadata: {labels: {app: books, version: v1}}, spec: {containers: [{name: a, image: a}]}}"
    return document("Deployment", "books", f"{{replicas: {replicas}, {template}}}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (service() + rule("{host: boks}"), ["IST0174 spec.host"]),
        (rule("{host: boks}"), []),
        (service() + rule("{host: '*.default.svc.cluster.local'}"), []),
        (service() + rule("{host: '*.example.com'}"), ["IST0174 spec.host"]),
        (
            service() + pod() + rule("{host: books, subsets: [{name: v2, labels: {version: v2}}]}"),
            ["IST0173 spec.subsets[0].labels"],
        ),
        # A workload of another service is of no use to this one.
        (
            service()
            + pod()
            + pod("other", "v2")
            + rule("{host: books, subsets: [{name: v2, labels: {version: v2}}]}"),
            ["IST0173 spec.subsets[0].labels"],
        ),
        (service() + pod() + rule("{host: books, subsets: [{name: v1, labels: {version: v1}}]}"), []),
        (service() + rule("{host: books, subsets: [{name: v2, labels: {version: v2}}]}"), []),
        (rule("{host: a.example.com, trafficPolicy: {tls: {mode: SIMPLE}}}"), ["IST0128 spec.trafficPolicy.tls"]),
        (rule("{host: a.example.com, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /a}}}"), []),
        (rule("{host: a.example.com, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}"), []),
        (
            rule(
                "{host: a.example.com, trafficPolicy: {portLevelSettings: [{port: {number: 1}, tls: {mode: SIMPLE}}]}}"
            ),
            ["IST0129 spec.trafficPolicy.portLevelSettings[0].tls"],
        ),
        (
            service()
            + rule("{host: books, trafficPolicy: {portLevelSettings: [{port: {number: 1}, tls: {mode: DISABLE}}]}}"),
            ["MESH0026 spec.trafficPolicy.portLevelSettings[0].port"],
        ),
        (rule(EJECT % "consecutiveErrors: 5"), ["IST0133 spec.trafficPolicy.outlierDetection.consecutiveErrors"]),
    ],
)
def test_rules(text: str, expected: list[str]) -> None:
    assert [f"{f.code} {f.field}" for f in findings(text) if f.kind == "DestinationRule"] == expected


@pytest.mark.parametrize(
    ("replicas", "spec", "ejects"),
    [
        (9, EJECT % "interval: 1s", False),
        (10, EJECT % "interval: 1s", True),
        (1, EJECT % "maxEjectionPercent: 100", True),
        (2, EJECT % "maxEjectionPercent: 49", False),
        (2, EJECT % "maxEjectionPercent: 50", True),
        (0, EJECT % "maxEjectionPercent: 100", False),
    ],
)
def test_outlier_detection_that_never_ejects(replicas: int, spec: str, ejects: bool) -> None:
    assert told(service() + deployment(replicas) + rule(spec), "MESH0001") == (
        [] if ejects else ["MESH0001 DestinationRule default/r spec.trafficPolicy.outlierDetection"]
    )


def test_a_version_is_counted_by_itself() -> None:
    detection = "trafficPolicy: {outlierDetection: {maxEjectionPercent: 10}}"
    text = (
        service()
        + deployment(20)
        + pod(version="v2")
        + rule(
            f"{{host: books, subsets: [{{name: v1, labels: {{version: v1}}, {detection}}}, "
            f"{{name: v2, labels: {{version: v2}}, {detection}}}]}}"
        )
    )
    assert told(text, "MESH0001") == [
        "MESH0001 DestinationRule default/r spec.subsets[1].trafficPolicy.outlierDetection"
    ]


def test_bare_machines_are_counted_as_well() -> None:
    host = "books.default.svc.cluster.local"
    known = Knowledge(
        services=[KnownService(host, (80,))], workloads=[KnownWorkload("default", {"app": "books"}, host)] * 3
    )
    assert told(rule(EJECT % "interval: 1s"), known=known) == [
        "MESH0001 DestinationRule default/r spec.trafficPolicy.outlierDetection"
    ]
