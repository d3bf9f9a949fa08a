"""Gateways: who opens which port, and for which hosts."""

from mesh_api.config import RouteConfiguration
from tests.unit.mesh_control import worlds
from tests.unit.mesh_control.worlds import GATEWAY, HTTP, Node, ServicePort, Workload, action, by_name, compiled

HEAD = "apiVersion: networking.istio.io/v1\n"
SHOP = HEAD + (
    "kind: Gateway\nmetadata: {name: shop, namespace: edge}\n"
    "spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [HOSTS]}]}\n"
)


def shop(hosts: str = "'*'") -> str:
    return SHOP.replace("HOSTS", hosts)


def bound(name: str, host: str, http: str, namespace: str = "default") -> str:
    return (
        f"---\n{HEAD}kind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
        f"spec:\n  hosts: ['{host}']\n  gateways: [edge/shop]\n  http: [{http}]\n"
    )


TO_ORDER = "{route: [{destination: {host: order.default.svc.cluster.local}}]}"


def table(text: str, node: Node = GATEWAY, **parts: object) -> RouteConfiguration:
    (found,) = compiled(text, node, **parts).routes
    return found


def hosts(text: str) -> dict[str, tuple[str, ...]]:
    return {host.name: host.domains for host in table(text).virtual_hosts}


def test_without_services_every_request_is_404() -> None:
    (host,) = table(shop()).virtual_hosts
    assert (host.name, host.domains, host.routes) == ("blackhole:80", ("*",), ())


def test_another_selector_opens_nothing() -> None:
    other = Node("router~10.0.0.9~gateway.edge~edge.svc.cluster.local", metadata={"LABELS": {"istio": "egress"}})
    assert compiled(shop(), other).listeners == ()


def test_the_listener_is_open_to_everyone() -> None:
    (listener,) = compiled(shop(), GATEWAY).listeners
    assert (listener.name, str(listener.address), listener.bind_to_port) == ("0.0.0.0_80", "0.0.0.0:80", True)
    manager = listener.filter_chains[0].filter
    assert (manager.rds_name, manager.use_remote_address, manager.server_name) == ("http.80", True, "istio-envoy")


def test_a_server_may_be_bound_to_one_address() -> None:
    found = compiled(shop().replace("{port:", "{bind: 127.0.0.1, port:"), GATEWAY)
    assert [(listener.name, str(listener.address)) for listener in found.listeners] == [
        ("127.0.0.1_80", "127.0.0.1:80")
    ]
    assert [table.name for table in found.routes] == ["http.80.127.0.0.1"]


def test_hosts_meet_those_of_the_server() -> None:
    assert hosts(shop("'*.example'") + bound("a", "a.example", TO_ORDER)) == {"a.example:80": ("a.example",)}
    assert hosts(shop("'*.example'") + bound("a", "example", TO_ORDER)) == {"blackhole:80": ("*",)}
    assert hosts(shop("a.example") + bound("a", "*", TO_ORDER)) == {"a.example:80": ("a.example",)}
    assert hosts(shop("'edge/*'") + bound("a", "a.example", TO_ORDER)) == {"blackhole:80": ("*",)}
    assert hosts(shop("'default/*'") + bound("a", "a.example", TO_ORDER)) == {"a.example:80": ("a.example",)}
    assert hosts(shop("'./*'") + bound("a", "a.example", TO_ORDER, "edge")) == {"a.example:80": ("a.example",)}


def test_several_services_for_one_host_are_merged_with_catch_alls_last() -> None:
    text = (
        shop()
        + bound("a", "a.example", TO_ORDER.replace("{route", "{name: rest, route"))
        + bound("b", "a.example", "{match: [{uri: {prefix: /b}}], name: b, directResponse: {status: 200}}")
    )
    (host,) = table(text).virtual_hosts
    assert [route.name for route in host.routes] == ["b", "rest"]


def test_rules_for_the_mesh_stay_in_the_mesh() -> None:
    text = shop() + bound("a", "a.example", "{match: [{gateways: [mesh]}], directResponse: {status: 200}}")
    assert hosts(text) == {"blackhole:80": ("*",)}


def test_a_service_in_front_may_hand_the_port_on() -> None:
    front = worlds.service("ingress", ServicePort("http", 80, HTTP, 8080), namespace="edge")
    me = Workload("gateway", "edge", "10.0.0.9", {"app": "ingress", **GATEWAY.metadata["LABELS"]})
    config = compiled(
        shop() + bound("a", "a.example", TO_ORDER), GATEWAY, services=(*worlds.SERVICES, front), workloads=(me,)
    )
    assert [listener.name for listener in config.listeners] == ["0.0.0.0_8080"]
    (host,) = by_name(config.routes)["http.8080"].virtual_hosts
    assert host.name == "a.example:80"
    assert action(host.routes[0]).cluster == f"outbound|8380||{worlds.ORDER}"
