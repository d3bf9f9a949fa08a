"""Services, workloads and namespaces: ports, users, injection, annotations."""

import pytest

from tests.unit.mesh_policy.analysis.cases import document, findings, pod, service, told

INJECTED = ", labels: {istio-injection: enabled}"


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        ("{name: http, port: 1}", []),
        ("{name: http-web, port: 1}", []),
        ("{name: HTTP2-x, port: 1}", []),
        ("{name: grpc-web-a, port: 1}", []),
        ("{name: web, port: 1}", ["IST0118"]),
        ("{port: 1}", ["IST0118"]),
        ("{name: web, port: 1, appProtocol: http}", []),
        ("{name: web, port: 1, appProtocol: kubernetes.io/h2c}", []),
        ("{name: http, port: 1, appProtocol: other}", ["IST0118"]),
        ("{name: web, port: 3306}", []),
        ("{name: web, port: 1, protocol: UDP}", []),
    ],
)
def test_names_of_ports(port: str, expected: list[str]) -> None:
    assert [f.code for f in findings(service(ports=port))] == expected


def test_ports_of_external_names() -> None:
    text = document("Service", "a", "{type: ExternalName, externalName: example.com, ports: [{name: %s, port: 1}]}")
    assert told(text % "tcp", "IST01") == ["IST0150 Service default/a spec.ports[0]"]
    assert told(text % "other", "IST01") == ["IST0150 Service default/a spec.ports[0]"]
    assert told(text % "http", "IST01") == []


def deployment(more: str = "", labels: str = "app: books") -> str:
    spec = f"spec: {{containers: [{{name: istio-proxy, image: proxy}}, {{name: a, image: a}}]{more}}}"
    return document("Deployment", "books", f"{{template: {{metadata: {{labels: {{{labels}}}}}, {spec}}}}}")


def test_services_that_clash_in_one_workload() -> None:
    udp = document("Service", "b", "{selector: {app: books}, ports: [{name: x, port: 80, protocol: UDP}]}")
    assert told(service() + udp + deployment(), "IST0116") == ["IST0116 Deployment default/books metadata.name"]
    other = document("Service", "b", "{selector: {app: books}, ports: [{name: http, port: 81, targetPort: 80}]}")
    assert told(service() + other + deployment(), "IST0137") == ["IST0137 Deployment default/books metadata.name"]
    elsewhere = other.replace("namespace: default", "namespace: shop")
    assert told(service() + elsewhere + deployment(), "IST0137") == []


def test_an_application_with_the_proxys_user() -> None:
    field = "IST0144 Deployment default/books spec.template.spec"
    assert told(deployment(", securityContext: {runAsUser: 1337}"), "IST0144") == [f"{field}.securityContext.runAsUser"]
    text = deployment().replace("name: a, image: a", "name: a, image: a, securityContext: {runAsUser: 1337}")
    assert told(text, "IST0144") == [f"{field}.containers[1].securityContext.runAsUser"]
    proxy = deployment().replace("image: proxy", "image: proxy, securityContext: {runAsUser: 1337}")
    assert told(proxy, "IST0144") == []


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("", ["IST0102"]),
        (INJECTED, []),
        (", labels: {istio-injection: disabled}", []),
        (", labels: {istio.io/rev: a}", []),
        (", labels: {istio.io/dataplane-mode: ambient}", []),
        (", labels: {istio-injection: enabled, istio.io/rev: a}", ["IST0123"]),
        (", labels: {istio-injection: disabled, istio.io/rev: a}", []),
    ],
)
def test_labels_of_namespaces(labels: str, expected: list[str]) -> None:
    text = document("Namespace", "shop", more=labels, namespace="")
    assert [f.code for f in findings(text)] == expected


def test_kubernetes_own_namespaces_are_left_alone() -> None:
    assert (
        findings(
            document("Namespace", "kube-system", namespace="") + service(ports="{port: 1}", namespace="kube-system")
        )
        == []
    )


def test_pods_without_proxy() -> None:
    namespace = document("Namespace", "default", more=INJECTED, namespace="")
    bare = document("Pod", "p", "{containers: [{name: a, image: a}]}")
    assert told(namespace + bare) == ["IST0103 Pod default/p metadata.name"]
    assert told(namespace + bare.replace("{name: p", "{name: p, labels: {sidecar.istio.io/inject: 'false'}")) == []
    assert told(namespace + bare.replace("{containers", "{hostNetwork: true, containers")) == []
    assert told(namespace + pod()) == []


def test_images_that_wait_for_injection() -> None:
    waiting = deployment().replace("image: proxy", "image: auto")
    assert told(waiting) == ["IST0146 Deployment default/books spec.template.spec.containers"]
    assert told(document("Namespace", "default", more=INJECTED, namespace="") + waiting) == []
    assert told(pod().replace("image: proxy", "image: auto")) == ["IST0147 Pod default/books-v1 spec.containers"]


@pytest.mark.parametrize(
    ("kind", "annotation", "expected"),
    [
        ("Pod", "sidecar.istio.io/logLevel: debug", []),
        ("Service", "sidecar.istio.io/logLevel: debug", ["IST0107"]),
        ("Deployment", "sidecar.istio.io/logLevel: debug", ["IST0107"]),
        ("Pod", "sidecar.istio.io/logLevl: debug", ["IST0108"]),
        ("Pod", "example.com/anything: debug", []),
        ("Pod", "sidecar.istio.io/inject: 'true'", ["IST0135"]),
        ("Pod", "traffic.sidecar.istio.io/includeInboundPorts: '80,x'", ["IST0125"]),
        ("Pod", "traffic.sidecar.istio.io/includeInboundPorts: '*'", []),
        ("Pod", "traffic.sidecar.istio.io/excludeOutboundIPRanges: 10.0.0.0", ["IST0125"]),
        ("Pod", "sidecar.istio.io/proxyCPU: 100m", []),
        ("Pod", "sidecar.istio.io/proxyCPU: much", ["IST0125"]),
        ("Pod", "sidecar.istio.io/interceptionMode: SOME", ["IST0125"]),
        ("Pod", "proxy.istio.io/config: '{concurrency: two}'", ["IST0125"]),
        ("Pod", "proxy.istio.io/config: '{concurrency: 2}'", []),
        ("Service", "galley.istio.io/analyze-suppress: IST0001", []),
    ],
)
def test_annotations(kind: str, annotation: str, expected: list[str]) -> None:
    text = document(kind, "a", "{containers: []}" if kind == "Pod" else "{}", more=f", annotations: {{{annotation}}}")
    assert [f.code for f in findings(text)] == expected
