"""What is found between policies."""

import pytest

from mesh_policy import KnownService, KnownWorkload, Level, check, load_documents

SERVICES = [
    KnownService("books.default.svc.cluster.local", (8080,)),
    KnownService("two.default.svc.cluster.local", (1, 2)),
]


def found(text: str, hosts: int = 1) -> list[str]:
    workloads = [KnownWorkload("default", {"version": "v1"}, "books.default.svc.cluster.local")] * hosts
    return [f"{f.level.name} {f.code} {f.field}" for f in check(load_documents(text), SERVICES, workloads)]


def virtual(http: str, name: str = "a", hosts: str = "[books]", more: str = "") -> str:
    return (
        f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n"
        f"spec: {{hosts: {hosts}, {more}http: [{http}]}}\n---\n"
    )


def rule(spec: str) -> str:
    head = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r}\n"
    return f"{head}spec: {{host: books, {spec}}}\n---\n"


GATEWAY = (
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge}\n"
    "spec: {selector: {istio: edge}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}\n---\n"
)
PLAIN = "{route: [{destination: {host: books}}]}"
EJECT = "trafficPolicy: {outlierDetection: {%s}}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (virtual(PLAIN), []),
        (virtual(PLAIN) + virtual(PLAIN, name="b"), ["ERROR IST0109 spec.hosts"] * 2),
        (virtual(PLAIN, more='exportTo: ["."], ') + virtual(PLAIN, name="b", more="exportTo: [other], "), []),
        (
            virtual(PLAIN, more='exportTo: ["."], ') + virtual(PLAIN, name="b", more='exportTo: ["*"], '),
            ["ERROR IST0109 spec.hosts"] * 2,
        ),
        (virtual(PLAIN) * 2, ["ERROR MESH0003 "]),
        (virtual("{route: [{destination: {host: boks}}]}"), ["ERROR IST0101 spec.http[0].route[0].destination.host"]),
        (
            virtual("{route: [{destination: {host: books, port: {number: 1}}}]}"),
            ["ERROR IST0101 spec.http[0].route[0].destination.port"],
        ),
        (virtual("{route: [{destination: {host: two}}]}"), ["ERROR IST0112 spec.http[0].route[0].destination.port"]),
        (
            virtual("{route: [{destination: {host: books, subset: v1}}]}"),
            ["ERROR IST0101 spec.http[0].route[0].destination.subset"],
        ),
        (
            virtual("{route: [{destination: {host: books, subset: v1}}]}")
            + rule("subsets: [{name: v1, labels: {version: v1}}]"),
            [],
        ),
        (virtual(PLAIN, more="gateways: [x], "), ["ERROR IST0101 spec.gateways[0]"]),
        (virtual(PLAIN, more="gateways: [default/edge, edge], ") + GATEWAY, []),
        (
            virtual(
                "{match: [{uri: {prefix: /}, gateways: [default/gone]}], route: [{destination: {host: books}}]}",
                more="gateways: [edge], ",
            )
            + GATEWAY,
            ["ERROR IST0101 spec.http[0].match[0].gateways"],
        ),
        (
            rule("trafficPolicy: {tls: {mode: DISABLE}}").replace("host: books", "host: boks"),
            ["WARNING MESH0009 spec.host"],
        ),
        (virtual(f"{PLAIN}, {PLAIN}"), ["WARNING IST0130 spec.http[1]"]),
        (
            virtual("{route: [{destination: {host: books}, weight: 1}, {destination: {host: books}, weight: 2}]}"),
            ["WARNING MESH0002 spec.http[0].route"],
        ),
        (rule("subsets: [{name: v9, labels: {version: v9}}]"), ["WARNING MESH0004 spec.subsets[0].labels"]),
        (rule(EJECT % "interval: 1s"), ["WARNING MESH0001 spec.trafficPolicy.outlierDetection"]),
        (rule(EJECT % "maxEjectionPercent: 100"), []),
    ],
)
def test_findings(text: str, expected: list[str]) -> None:
    assert found(text) == expected


@pytest.mark.parametrize(("hosts", "warned"), [(1, True), (9, True), (10, False)])
def test_ten_percent_ejects_from_ten_hosts_on(hosts: int, warned: bool) -> None:
    assert bool(found(rule(EJECT % "interval: 1s"), hosts)) is warned


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert check(load_documents(virtual("{route: [{destination: {host: anywhere}}]}"))) == []
    assert Level.ERROR > Level.WARNING > Level.INFO
