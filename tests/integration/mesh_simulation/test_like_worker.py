"""What is simulated is what a real worker does with the same configuration and the same bytes."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh_api.config import ClusterType, FilterChain, HttpConnectionManager, Listener, ProxyConfig
from mesh_control.compiler import compile_proxy, inbound
from mesh_control.compiler.scope import Scope
from mesh_policy import DestinationRule, VirtualService
from mesh_policy.security.authorization_policy import AuthorizationPolicy
from mesh_proxy import ipc
from mesh_simulation import Decision, Mesh, Request, simulate
from mesh_simulation.decision import Message
from mesh_simulation.parties import proxy_for
from tests.support.proxy_config import ANY_PORT, cluster
from tests.support.raw_http import Backend, Client, ScriptedServer
from tests.support.worker_process import WorkerProcess
from tests.unit.mesh_control.worlds import SERVICES, WORKLOADS

PORT = 8380
SUBSETS = ("", "v1", "v2", "v3")
PATHS = ("/", "/a", "/a/", "/a/b", "/A/b", "/ab", "/a/b/c?q=1", "/c?q=2&r", "/%61/b", "/x/../a", "//a")
HOSTS = ("order", "order.default", "order:8380", "order.default.svc.cluster.local", "nobody")
NAMES = ("x-a", "x-b")
VALUES = ("", "1", "12", "abc")


@dataclass(slots=True)
class Real:
    """A worker, and a server behind each cluster."""

    worker: WorkerProcess
    backends: dict[str, Backend]
    ports: dict[str, int]

    def ask(self, config: ProxyConfig, request: Request) -> tuple[Any, str, Any]:
        """The answer, and the cluster that got the request with what it got."""
        return self.send(self._own(config), request)

    def send(self, config: ProxyConfig, request: Request) -> tuple[Any, str, Any]:
        """As :meth:`ask`, with a configuration that is the worker's own."""
        assert isinstance(taken := self.worker.apply(config), ipc.Applied), taken
        for backend in self.backends.values():
            backend.requests.clear()
        with Client(self.worker.port("http")) as client:
            fields = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items() if name != "host")
            client.send(
                f"{request.method} {request.target} HTTP/1.1\r\nhost: {request.authority}\r\n{fields}\r\n".encode()
            )
            reply = client.reply(request.method)
        got = [(name, backend.requests[0]) for name, backend in self.backends.items() if backend.requests]
        return reply, *(got[0] if got else ("", None))

    def _own(self, config: ProxyConfig) -> ProxyConfig:
        """The compiled tables and connection manager, on a port of loopback, with our servers as hosts."""
        listener = next(item for item in config.listeners if item.name == f"0.0.0.0_{PORT}")
        manager = listener.filter_chains[0].filter
        assert isinstance(manager, HttpConnectionManager)
        manager = replace(manager, access_logs=())
        named = [item for item in config.clusters if item.name in self.ports]
        clusters = tuple(cluster(item.name, self.ports[item.name]) for item in named)
        assert all(item.type is ClusterType.STATIC for item in clusters)
        return ProxyConfig((Listener("http", ANY_PORT, (FilterChain(manager),)),), config.routes, clusters)


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    with contextlib.ExitStack() as stack:
        backends, ports = {}, {}
        for subset in SUBSETS:
            name = f"outbound|{PORT}|{subset}|order.default.svc.cluster.local"
            backends[name] = Backend()
            server = ScriptedServer(backends[name].serve)
            stack.callback(server.close)
            ports[name] = server.port
        yield Real(stack.enter_context(WorkerProcess()), backends, ports)


def texts(values: tuple[str, ...]) -> st.SearchStrategy[dict[str, str]]:
    """A string match about some of the values."""
    plain = [value for value in values if value]
    return st.one_of(
        st.builds(lambda v: {"exact": v}, st.sampled_from(values)),
        st.builds(lambda v: {"prefix": v}, st.sampled_from(plain)),
        st.sampled_from([{"regex": ".*b.*"}, {"regex": "/?[a-c1]+"}, {"regex": "/a.*"}]),
    )


headers = st.dictionaries(st.sampled_from(NAMES), texts(VALUES) | st.just({}), max_size=1)
matches = st.fixed_dictionaries(
    {},
    optional={
        "uri": texts(("/", "/a", "/a/", "/a/b", "/c")),
        "ignoreUriCase": st.booleans(),
        "method": st.sampled_from([{"exact": "GET"}, {"regex": "GET|POST"}]),
        "authority": texts(("order", "order.default")),
        "headers": headers,
        "withoutHeaders": headers,
        "queryParams": st.dictionaries(st.sampled_from(("q", "r")), texts(("1", "2")), max_size=1),
    },
)
edits = st.fixed_dictionaries(
    {},
    optional={
        "set": st.dictionaries(st.sampled_from((*NAMES, "x-c")), st.sampled_from(("1", "%REQ(x-a)%")), max_size=2),
        "add": st.dictionaries(st.sampled_from(NAMES), st.just("2"), max_size=1),
        "remove": st.lists(st.sampled_from(NAMES), max_size=1),
    },
)


def to(subset: str, weight: int, edit: dict[str, Any]) -> dict[str, Any]:
    destination = {"host": "order", "subset": subset} if subset else {"host": "order"}
    return {"destination": destination, "weight": weight} | ({"headers": {"request": edit}} if edit else {})


destinations = st.lists(
    st.builds(to, st.sampled_from((*SUBSETS, "missing")), st.integers(1, 9), edits), min_size=1, max_size=3
)
routed = st.fixed_dictionaries(
    {"route": destinations},
    optional={
        "rewrite": st.sampled_from(
            [
                {"uri": "/new"},
                {"authority": "other"},
                {"uri": "/"},
                {"uriRegexRewrite": {"match": "a+", "rewrite": "z"}},
            ]
        ),
        "timeout": st.sampled_from(["1s", "250ms"]),
        "headers": st.builds(lambda e: {"request": e}, edits),
        "fault": st.sampled_from(
            [
                {"abort": {"httpStatus": 418, "percentage": {"value": 100}}},
                {"abort": {"httpStatus": 418, "percentage": {"value": 0}}},
            ]
        ),
        "corsPolicy": st.just({"allowOrigins": [{"exact": "http://a"}], "allowMethods": ["GET"]}),
    },
)
redirected = st.sampled_from(
    [{"redirect": {"uri": "/moved", "redirectCode": 302}}, {"redirect": {"authority": "b", "scheme": "https"}}]
)
answered = st.just({"directResponse": {"status": 410, "body": {"string": "gone"}}})
rules = st.lists(
    st.builds(
        lambda rule, match: rule | ({"match": match} if match else {}),
        st.one_of(routed, routed, redirected, answered),
        st.lists(matches, max_size=2),
    ),
    min_size=1,
    max_size=4,
)
asked = st.builds(
    lambda path, host, method, given: Request("store", f"http://{host}{path}", method, given | {"host": host}),
    st.sampled_from(PATHS),
    st.sampled_from(HOSTS[:4]),
    st.sampled_from(("GET", "POST", "OPTIONS")),
    st.dictionaries(
        st.sampled_from((*NAMES, "origin", "access-control-request-method")),
        st.sampled_from((*VALUES[1:], "http://a")),
        max_size=3,
    ),
)
RULE = DestinationRule.of(
    "order",
    {"host": "order", "subsets": [{"name": name, "labels": {"version": name}} for name in SUBSETS[1:]]},
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=rules, requests=st.lists(asked, min_size=1, max_size=4))
def test_a_worker_does_what_was_said(real: Real, rules: list[dict[str, Any]], requests: list[Request]) -> None:
    mesh = Mesh.of(
        [RULE, VirtualService.of("order", {"hosts": ["order"], "http": rules})],
        SERVICES,
        [
            *WORKLOADS,
            replace(WORKLOADS[0], name="order-v3", address="10.0.0.7", labels={"app": "order", "version": "v3"}),
        ],
    )
    store = mesh.world.workload("store", "default")
    assert store is not None
    config = compile_proxy(mesh.world, replace(proxy_for(store), own=True))
    for request in requests:
        dialled = replace(request, url=f"http://order.default.svc.cluster.local:{PORT}{request.target}")
        compare(simulate(mesh, dialled), *real.ask(config, request))


def compare(said: Decision, reply: Any, name: str, got: Any) -> None:
    chosen = [item for item in said.destinations if item.cluster == name]
    outcomes = {(d.status, d.cluster if d.details == "via_upstream" else "") for d in said.destinations}
    outcomes = outcomes or {(said.status, "")}
    assert (reply.status, name) in outcomes, f"{said}\n{reply.head!r}"
    assert reply.fields.get("location", "") == (said.location if not name else ""), said
    if name:
        ours = as_got(got)
        assert (got.method, got.target, ours) in [as_read(item.request) for item in chosen], said
    else:
        assert reply.body.decode() == said.body or said.destinations, said


# The server's side.

conditions = st.fixed_dictionaries(
    {},
    optional={
        "methods": st.lists(st.sampled_from(("GET", "P*", "*T", "*")), min_size=1, max_size=2),
        "notMethods": st.just(["POST"]),
        "paths": st.lists(st.sampled_from(("/", "/a", "/a*", "*b", "/a/{*}", "/{**}")), min_size=1, max_size=2),
        "notPaths": st.lists(st.sampled_from(("/a/b", "/c*")), min_size=1, max_size=1),
        "hosts": st.lists(st.sampled_from(("order", "order.*", "*.local", "ORDER:8380")), min_size=1, max_size=2),
    },
).filter(bool)
sources = st.sampled_from(
    [{"ipBlocks": ["127.0.0.0/8"]}, {"notIpBlocks": ["127.0.0.1"]}, {"principals": ["*"]}, {"notPrincipals": ["*"]}]
)
whens = st.builds(
    lambda name, key, values: {"key": f"request.headers[{name}]", key: values},
    st.sampled_from(NAMES),
    st.sampled_from(("values", "notValues")),
    st.lists(st.sampled_from(("1", "1*", "*2", "*")), min_size=1, max_size=2),
)
rbac_rules = st.fixed_dictionaries(
    {},
    optional={
        "to": st.lists(st.builds(lambda o: {"operation": o}, conditions), min_size=1, max_size=2),
        "from": st.lists(st.builds(lambda o: {"source": o}, sources), min_size=1, max_size=2),
        "when": st.lists(whens, min_size=1, max_size=2),
    },
)
authorizations = st.lists(
    st.builds(lambda action, made: {"action": action, "rules": made}, st.sampled_from(("ALLOW", "DENY")),
              st.lists(rbac_rules, min_size=1, max_size=2)),
    min_size=1,
    max_size=3,
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policies=authorizations, requests=st.lists(asked, min_size=1, max_size=4))
def test_a_worker_lets_pass_whom_the_simulation_lets_pass(
    real: Real, policies: list[dict[str, Any]], requests: list[Request]
) -> None:
    made = [AuthorizationPolicy.of(f"p{number}", spec) for number, spec in enumerate(policies)]
    mesh = Mesh.of(made, SERVICES, WORKLOADS[1:])
    server = mesh.world.workload("order-v2", "default")
    assert server is not None
    listener = inbound.listeners(Scope(mesh.world, proxy_for(server)))[0]
    chain = next(item for item in listener.filter_chains if item.match.destination_port == PORT)
    assert isinstance(chain.filter, HttpConnectionManager)
    manager = replace(chain.filter, access_logs=())
    backend = next(iter(real.ports.values()))
    own = ProxyConfig(
        (Listener("http", ANY_PORT, (FilterChain(manager),)),), clusters=(cluster(f"inbound|{PORT}||", backend),)
    )
    for request in requests:
        dialled = replace(
            request,
            source="outside",
            source_ip="127.0.0.1",
            url=f"http://order.default.svc.cluster.local:{PORT}{request.target}",
        )
        said = simulate(mesh, dialled)
        reply, _, got = real.send(own, request)
        assert reply.status == said.status, f"{said}\n{reply.head!r}"
        assert (got is not None) == said.allowed == (not said.is_denied()), said
        if got is not None:
            read = said.destinations[0].inbound[0].request
            ours = as_got(got)
            assert (got.method, got.target, ours) == as_read(read), said


def as_got(got: Any) -> dict[str, str]:
    """The fields of a request, but for its random id and for how HTTP/1.1 frames no body."""
    framing = ("content-length", "0")
    return {name: value for name, value in got.fields.items() if name != "x-request-id" and (name, value) != framing}


def as_read(sent: Message | None) -> tuple[str, str, dict[str, str]]:
    """Method, target and fields as the server tells them; ids are random."""
    assert sent is not None
    fields = {"host": sent.host}
    for name, value in sent.headers:
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    del fields["x-request-id"]
    return sent.method, sent.target, fields
