"""What a Sidecar lets a proxy see, and which Sidecar is whose."""

import pytest

from mesh_api.node import Node
from mesh_control.compiler.scope import Scope
from mesh_control.proxies import proxy_of
from mesh_control.services import Protocol, ServicePort
from tests.unit.mesh_control.worlds import SERVICES, STORE, by_name, compiled, service, world

FAR = service("far", ServicePort("http", 80, Protocol.HTTP, 80), namespace="shop")
HIDDEN = service("hidden", namespace="shop", export_to=(".",))
KNOWN = (*SERVICES, FAR, HIDDEN)


def sidecar(name: str, egress: str, more: str = "", namespace: str = "default") -> str:
    return (
        f"apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec: {{egress: [{egress}]{more}}}\n---\n"
    )


def seen(text: str, node: Node = STORE) -> set[str]:
    found = Scope(world(text, services=KNOWN), proxy_of(node)).services
    return {f"{known.name}:{port.number}" for known in found for port in known.ports}


@pytest.mark.parametrize(
    ("egress", "names"),
    [
        ("{hosts: ['*/*']}", {"order:8380", "store:8480", "postgres:5432", "far:80"}),
        ("{hosts: ['./*']}", {"order:8380", "store:8480", "postgres:5432"}),
        ("{hosts: ['shop/*']}", {"far:80"}),
        ("{hosts: ['~/*']}", set()),
        ("{hosts: ['*/*', '~default/*']}", {"far:80"}),
        ("{hosts: ['default/order.default.svc.cluster.local']}", {"order:8380"}),
        ("{hosts: ['shop/order.default.svc.cluster.local']}", set()),
        ("{port: {number: 80, protocol: HTTP}, hosts: ['*/*']}", {"far:80"}),
        ("{port: {number: 80, protocol: HTTP_PROXY}, hosts: ['shop/*']}", {"far:80"}),
    ],
)
def test_hosts(egress: str, names: set[str]) -> None:
    assert seen(sidecar("s", egress)) == names


def test_a_rule_leads_to_services_that_no_host_names() -> None:
    rule = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\n"
        "spec: {hosts: [order], http: [{route: [{destination: {host: far.shop.svc.cluster.local}}]}]}\n---\n"
    )
    assert seen(rule + sidecar("s", "{hosts: ['./order.default.svc.cluster.local']}")) == {"order:8380", "far:80"}


def test_the_one_that_selects_the_workload_counts_then_the_namespaces_then_the_roots() -> None:
    root = sidecar("root", "{hosts: ['~/*']}", namespace="istio-system")
    assert seen(root) == set()
    general = root + sidecar("general", "{hosts: ['./order.default.svc.cluster.local']}")
    assert seen(general) == {"order:8380"}
    own = ", workloadSelector: {labels: {app: store}}"
    assert seen(general + sidecar("own", "{hosts: ['shop/*']}", own)) == {"far:80"}
    others = ", workloadSelector: {labels: {app: order}}"
    assert seen(general + sidecar("a", "{hosts: ['shop/*']}", others)) == {"order:8380"}


def test_what_nobody_declared_is_refused_or_goes_to_the_egress_proxy() -> None:
    refused = compiled(sidecar("s", "{hosts: ['./*']}", ", outboundTrafficPolicy: {mode: REGISTRY_ONLY}"))
    assert by_name(by_name(refused.routes)["8380"].virtual_hosts)["block_all"].routes[0].action.status == 502
    assert by_name(refused.listeners)["virtualOutbound"].filter_chains[-1].filter.cluster == "BlackHoleCluster"
    to = ", outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: out.example, port: {number: 3128}}}"
    sent = compiled(sidecar("s", "{hosts: ['./*']}", to))
    assert by_name(sent.listeners)["virtualOutbound"].filter_chains[-1].filter.cluster == "outbound|3128||out.example"


def test_a_listener_of_ones_own_takes_no_services_of_the_others() -> None:
    text = sidecar("s", "{port: {number: 8380, protocol: HTTP}, hosts: ['shop/*']}, {hosts: ['*/*']}")
    config = compiled(text, services=KNOWN)
    assert "0.0.0.0_8380" not in by_name(config.listeners) or [
        host.name for host in by_name(config.routes)["8380"].virtual_hosts
    ] == ["allow_any"]
