"""What holds of every world: equal worlds give equal bytes, all is complete, and what a proxy cannot see leaves it alone."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.config import ClusterType
from mesh_api.node import Node
from mesh_api.xds.decode import decode_resource
from mesh_api.xds.encode import encode_resources
from mesh_control.compiler import compile_proxy
from mesh_control.proxies import proxy_of
from mesh_control.services import Protocol, Service, ServicePort, Workload, protocol_of
from mesh_control.world import World
from mesh_policy import DestinationRule, Gateway, Policy, VirtualService
from mesh_policy.security.authorization_policy import AuthorizationPolicy
from tests.unit.mesh_control import worlds as small

NAMESPACES = ("default", "shop")
NAMES = ("a", "b", "c")
NODES = [
    *(
        Node(f"sidecar~10.0.{x}.{y}~{name}-1.{namespace}~x", metadata={"LABELS": {"app": name}})
        for x, namespace in enumerate(NAMESPACES)
        for y, name in enumerate(NAMES)
    ),
    Node("router~10.0.9.9~gateway.edge~x", metadata={"LABELS": {"istio": "ingressgateway"}}),
    Node("router~10.0.9.8~gateway.default~x", metadata={"LABELS": {"istio": "ingressgateway"}}),
    Node(
        "sidecar~127.0.0.1~a-1.default~x",
        metadata={"INTERCEPTION_MODE": "NONE", "EGRESS_PORTS": {"b.default.svc.cluster.local:80": 23000}},
    ),
]

ports = st.builds(
    lambda name, number: ServicePort(name, number, protocol_of(name) if name else Protocol.AUTO, number),
    st.sampled_from(["http", "grpc", "tcp-x", "https", ""]),
    st.sampled_from([80, 443, 8080]),
)


@st.composite
def services(draw: st.DrawFn) -> list[Service]:
    names = draw(st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMESPACES)), max_size=6))
    return [
        Service(
            f"{name}.{namespace}.svc.cluster.local",
            namespace,
            tuple(draw(st.lists(ports, max_size=2, unique_by=lambda port: port.number))),
            addresses=draw(st.sampled_from([(), (f"10.96.{place}.1",)])),
            selector={"app": name},
            export_to=draw(st.sampled_from([("*",), (".",)])),
        )
        for place, (name, namespace) in enumerate(sorted(names))
    ]


@st.composite
def workloads(draw: st.DrawFn) -> list[Workload]:
    return [
        Workload(f"{name}-{copy}", namespace, f"10.0.{x}.{y + 10 * copy}", {"app": name, "version": f"v{copy}"})
        for x, namespace in enumerate(NAMESPACES)
        for y, name in enumerate(NAMES)
        for copy in range(draw(st.integers(0, 2)))
    ]


destinations = st.builds(
    lambda host, subset: {"host": host} | ({"subset": subset} if subset else {}),
    st.sampled_from(NAMES),
    st.sampled_from([None, "v1", "v2"]),
)
rules = st.builds(
    lambda match, route, timeout: {"match": match, "route": route, "timeout": timeout},
    st.sampled_from(
        [
            None,
            [{"uri": {"prefix": "/x"}}],
            [{"headers": {"a": {"exact": "b"}}}, {"sourceLabels": {"app": "a"}}],
            [{"sourceNamespace": "shop"}],
        ]
    ),
    st.lists(destinations, min_size=1, max_size=2).map(
        lambda found: [{"destination": to, "weight": 50} for to in found]
    ),
    st.sampled_from([None, "15s"]),
)


BY_ADDRESS = {"loadBalancer": {"consistentHash": {"useSourceIp": True}}}


@st.composite
def policies(draw: st.DrawFn) -> list[Policy]:
    found: list[Policy] = []
    for namespace in NAMESPACES:
        for name in draw(st.sets(st.sampled_from(NAMES))):
            subsets = [{"name": v, "labels": {"version": v}} for v in ("v1", "v2")]
            balancer = draw(st.sampled_from([None, {"loadBalancer": {"simple": "PASSTHROUGH"}}, BY_ADDRESS]))
            selector = draw(st.sampled_from([None, {"matchLabels": {"app": "a"}}]))
            rule = {"host": name, "subsets": subsets, "workloadSelector": selector, "trafficPolicy": balancer}
            found.append(DestinationRule.of(name, rule, namespace))
        for name in draw(st.sets(st.sampled_from(NAMES))):
            gateways = draw(st.sampled_from([None, ["default/gw"], ["mesh", "default/gw"]]))
            spec: dict[str, Any] = {
                "hosts": [name],
                "gateways": gateways,
                "http": draw(st.lists(rules, min_size=1, max_size=2)),
                "tcp": draw(st.sampled_from([None, [{"route": [{"destination": {"host": "c"}}]}]])),
                "exportTo": draw(st.sampled_from([None, ["."]])),
            }
            found.append(VirtualService.of(name, spec, namespace))
        for name in draw(st.sets(st.sampled_from(NAMES))):
            chosen = draw(st.sampled_from([None, {"matchLabels": {"app": name}}]))
            action = draw(st.sampled_from(["ALLOW", "DENY"]))
            found.append(AuthorizationPolicy.of(name, {"selector": chosen, "action": action, "rules": [{}]}, namespace))
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    found.append(Gateway.of("gw", {"selector": {"istio": "ingressgateway"}, "servers": [server]}))
    return found


worlds = st.tuples(services(), workloads(), policies())
nodes = st.sampled_from(NODES)
few = settings(max_examples=60, deadline=None)


@few
@given(worlds, nodes, st.integers(0, 2**16))
def test_the_same_world_gives_the_same_bytes(parts: tuple[Any, Any, Any], node: Node, seed: int) -> None:
    dice = random.Random(seed)
    mixed = [dice.sample(part, len(part)) for part in parts]
    one, other = (compile_proxy(World.of(*given), proxy_of(node)) for given in (parts, mixed))
    assert one == other
    assert encode_resources(one) == encode_resources(other)


@few
@given(worlds, nodes)
def test_what_is_compiled_is_complete_unambiguous_and_survives_the_wire(
    parts: tuple[Any, Any, Any], node: Node
) -> None:
    config = compile_proxy(World.of(*parts), proxy_of(node))
    assert config.missing() == ()
    wanted = {cluster.assignment_name for cluster in config.clusters if cluster.type is ClusterType.EDS}
    assert {assignment.cluster_name for assignment in config.endpoints} == wanted
    for table in config.routes:
        domains = [domain for host in table.virtual_hosts for domain in host.domains]
        assert len(domains) == len(set(domains))  # Envoy refuses the table otherwise
    for section in (config.listeners, config.routes, config.clusters):
        names = [resource.name for resource in section]
        assert names == sorted(set(names))
    addresses = [str(listener.address) for listener in config.listeners]
    assert len(addresses) == len(set(addresses))
    for type_url, resources in encode_resources(config).items():
        for data in resources.values():
            decode_resource(type_url, data)


@few
@given(worlds, st.permutations(range(len(NODES))))
def test_what_others_were_given_before_changes_nothing(parts: tuple[Any, Any, Any], order: list[int]) -> None:
    """Parts that proxies share are made once; whoever shares them would have got the same alone."""
    shared = World.of(*parts)
    for place in order:
        for node in (NODES[place], replace(NODES[place], user_agent="meshwright 0.1.0")):
            proxy = proxy_of(node)
            assert compile_proxy(shared, proxy) == compile_proxy(World.of(*parts), proxy)


@few
@given(worlds, nodes)
def test_what_a_proxy_cannot_see_changes_nothing_for_it(parts: tuple[Any, Any, Any], node: Node) -> None:
    found, hosts, rules_ = parts
    hidden = Service(
        "hidden.secret.svc.cluster.local",
        "secret",
        (ServicePort("http", 9999, protocol_of("http"), 9999),),
        selector={"app": "hidden"},
        export_to=(".",),
    )
    more = VirtualService.of(
        "hidden", {"hosts": ["hidden"], "exportTo": ["."], "http": [{"directResponse": {"status": 200}}]}, "secret"
    )
    before = compile_proxy(World.of(found, hosts, rules_), proxy_of(node))
    guest = Workload("hidden-1", "secret", "10.1.1.1", {"app": "hidden"})
    after = compile_proxy(World.of([*found, hidden], [*hosts, guest], [*rules_, more]), proxy_of(node))
    assert encode_resources(after) == encode_resources(before)


PLAIN = ServicePort("", 9000, Protocol.AUTO, 9000)
LOCAL = small.service("near", PLAIN, node_local=True)
HERE, THERE = (replace(small.workload(f"near-{n}", "near", f"10.0.0.{n}"), node=f"node{n}") for n in (1, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            Node("sidecar~10.0.0.3~store.default~x", metadata={"NODE_NAME": "node1"}),
            Node("sidecar~10.0.0.4~store-2.default~x", metadata={"NODE_NAME": "node2"}),
        ),
        (
            Node("sidecar~10.0.0.3~store.default~x"),
            Node("router~10.0.0.9~gateway.default~x", metadata={"LABELS": {"istio": "ingressgateway"}}),
        ),
    ],
    ids=["of two nodes", "a sidecar and a gateway of one namespace"],
)
def test_neighbours_that_see_other_things_are_given_them(one: Node, other: Node) -> None:
    """As nobody compiled before them."""
    world = World.of((*small.SERVICES, LOCAL), (*small.WORKLOADS, HERE, THERE))
    alone = [compile_proxy(replace(world), proxy_of(node)) for node in (one, other)]
    assert [compile_proxy(world, proxy_of(node)) for node in (one, other)] == alone
    assert (alone[0].clusters, alone[0].endpoints) != (alone[1].clusters, alone[1].endpoints)
