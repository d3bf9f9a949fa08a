"""Random services, rules and Sidecars for what sidecars send, overlapping in every way; by seed alone."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import yaml

NAMESPACES = ("default", "shop", "istio-system")
APPS = ("client", "cart")
HOSTS = (
    "a.default.svc.cluster.local", "b.shop.svc.cluster.local", "c.example.com", "d.example.com", "x.d.example.com",
    "e.f.default.svc.cluster.local", "g.example.org",
)  # fmt: skip
WILDCARDS = ("*.example.com", "*.d.example.com", "*.shop.svc.cluster.local", "*.org")
SHORT = ("a", "b", "nobody")
PORTS = (80, 80, 443, 8080, 9090, 5432)
PROTOCOLS = ("HTTP", "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "TCP", "TCP", "TLS", "HTTPS", "", "")
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "192.168.1.1", "10.1.2.3/32")
Document = dict[str, Any]


def world(seed: int) -> str:
    """The objects, as YAML."""
    rng = random.Random(seed)
    taken: set[tuple[str, str]] = set()
    made = [_entry(rng, number, taken) for number in range(rng.randint(2, 7))]
    for place in _some(rng, [(name, namespace) for name in ("a", "b", "k") for namespace in NAMESPACES], 0, 3):
        made.append(_service(rng, *place, len(made)))
    for kind, most in ((_virtual_service, 5), (_destination_rule, 4), (_sidecar, 2)):
        made += [_named(rng, kind, number) for number in range(rng.randint(0, most))]
    made += _delegates(rng) if rng.random() < 0.3 else []
    _give_addresses(random.Random(f"addresses {seed}"), made)
    return "\n---\n".join(yaml.safe_dump(document, sort_keys=False) for document in made)


def _give_addresses(rng: random.Random, made: Sequence[Document]) -> None:
    """To some hosts of ServiceEntries, as Istio's controller does, and to some that use none. Each has its own: which of two
    domains of tables counts that are one address, istiod leaves to chance."""
    for number, document in enumerate(made):
        if document["kind"] == "ServiceEntry" and rng.random() < 0.7:
            places = [(host, place) for place, host in enumerate(document["spec"]["hosts"])]
            given = [(host, f"240.240.{number}.{place}") for host, place in places if rng.random() < 0.8]
            given += [(host, f"2001:2::{number}:{place}") for host, place in places if rng.random() < 0.5]
            document["status"] = {"addresses": [{"host": host, "value": address} for host, address in given]}


def _object(kind: str, name: str, namespace: str, spec: Document, **metadata: Any) -> Document:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def _named(rng: random.Random, make: Callable[[random.Random], tuple[str, Document]], number: int) -> Document:
    kind, spec = make(rng)
    created = {"creationTimestamp": f"2026-01-0{rng.randint(1, 9)}T00:00:00Z"}
    return _object(kind, f"{rng.choice('pqrst')}{number}", rng.choice(NAMESPACES), spec, **created)


def _some(rng: random.Random, values: Sequence[Any], least: int = 1, most: int = 2) -> list[Any]:
    return rng.sample(values, min(rng.randint(least, most), len(values)))


def _maybe(rng: random.Random, value: Any, chance: float = 0.3) -> Any:
    return value if rng.random() < chance else None


def _entry(rng: random.Random, number: int, taken: set[tuple[str, str]]) -> Document:
    """Hosts may be those of another namespace's entry."""
    namespace = rng.choice(NAMESPACES)
    hosts = [host for host in _some(rng, HOSTS) if (namespace, host) not in taken]
    taken.update((namespace, host) for host in hosts)
    resolution = rng.choice(("DNS", "STATIC", "NONE"))
    if not hosts or (resolution == "NONE" and rng.random() < 0.4):
        hosts, resolution = [f"*.w{number}.example.com"], "NONE"
    numbers = sorted(set(_some(rng, PORTS, 1, 4)))
    ports = [{"number": n, "name": f"port-{n}", "protocol": rng.choice(PROTOCOLS)} for n in numbers]
    if len(hosts) > 1 and resolution != "NONE":
        for port in ports:  # Istio's webhook: bytes of several hosts cannot be told apart
            port["protocol"] = rng.choice(("HTTP", "TLS"))
    address = [rng.choice((f"10.96.0.{number + 1}", f"10.{97 + number}.0.0/16"))]
    if resolution == "DNS":
        address = [f"10.96.0.{number + 1}"]
    spec = {
        "hosts": hosts,
        "location": "MESH_EXTERNAL",
        "resolution": resolution,
        "addresses": _maybe(rng, address, 0.4) if len(hosts) == 1 else None,
        "ports": [{key: value for key, value in port.items() if value} for port in ports],
        "endpoints": [{"address": f"10.2.0.{number}"}] if resolution == "STATIC" else None,
        "exportTo": _maybe(rng, rng.choice((["."], ["*"], ["default", "elsewhere"], ["~"])), 0.25),
    }
    created = {"creationTimestamp": f"2026-01-0{rng.randint(1, 9)}T00:00:00Z"}
    return _object("ServiceEntry", f"entry-{number}", namespace, spec, **created)


def _service(rng: random.Random, name: str, namespace: str, number: int) -> Document:
    """A Service of Kubernetes, perhaps of the name of an entry."""
    address = "None" if rng.random() < 0.25 else f"10.95.0.{number}"
    ports = [
        {"name": f"{rng.choice(('http', 'tcp', 'grpc', 'tls', 'x', 'mysql', 'redis'))}-{n}", "port": n, "targetPort": n}
        | ({"appProtocol": rng.choice(("http", "tcp", "kubernetes.io/h2c", "other"))} if rng.random() < 0.3 else {})
        for n in sorted(set(_some(rng, PORTS, 1, 3)))
    ]
    annotation = {"networking.istio.io/exportTo": rng.choice((".", "*", "shop"))} if rng.random() < 0.2 else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotation},
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": ports},
    }


def _destination(rng: random.Random) -> Document:
    made: Document = {"host": rng.choice((*HOSTS, *SHORT))}
    if rng.random() < 0.3:
        made["subset"] = rng.choice(("v1", "v2"))
    if rng.random() < 0.3:
        made["port"] = {"number": rng.choice(PORTS)}
    return made


def _routes(rng: random.Random, *, headers: bool) -> list[Document]:
    count = rng.choice((1, 1, 1, 2, 3))
    made: list[Document] = []
    for place in range(count):
        item: Document = {"destination": _destination(rng)}
        if count > 1:
            item["weight"] = rng.choice((0, 1, 50)) if place else 10
        if headers and rng.random() < 0.2:
            item["headers"] = {"request": {"set": {"x-a": "1", "Host": "h.example"}}, "response": {"remove": ["x-b"]}}
        made.append(item)
    return made


def _http_match(rng: random.Random) -> Document:
    uri = rng.choice(({"exact": "/e"}, {"prefix": "/p"}, {"prefix": "/"}, {"regex": "/r.*"}, {"regex": ".*"}, None))
    made = {
        "uri": uri,
        "name": _maybe(rng, "m", 0.2),
        "method": _maybe(rng, {"exact": "GET"}, 0.2),
        "headers": _maybe(rng, {"x-h": rng.choice(({"exact": "v"}, {}))}, 0.2),
        "withoutHeaders": _maybe(rng, {"x-w": {"prefix": "v"}}, 0.1),
        "queryParams": _maybe(rng, {"q": {"exact": "v"}}, 0.1),
        "port": _maybe(rng, rng.choice(PORTS), 0.2),
        "sourceLabels": _maybe(rng, {"app": rng.choice(APPS)}, 0.2),
        "sourceNamespace": _maybe(rng, rng.choice(NAMESPACES), 0.15),
        "gateways": _maybe(rng, [rng.choice(("mesh", "other"))], 0.1),
        "ignoreUriCase": _maybe(rng, True, 0.1),
    }
    return {key: value for key, value in made.items() if value is not None}


def _http(rng: random.Random) -> Document:
    rule: Document = {"match": [_http_match(rng) for _ in range(rng.randint(1, 3))]} if rng.random() < 0.7 else {}
    rule["name"] = rng.choice(("", "one", "two"))
    answer = rng.random()
    if answer < 0.1:
        return rule | {"redirect": {"authority": "r.example", "derivePort": "FROM_REQUEST_PORT"}}
    if answer < 0.2:
        return rule | {"directResponse": {"status": 404, "body": {"string": "no"}}}
    more = {
        "timeout": _maybe(rng, "3s", 0.2),
        "retries": _maybe(
            rng, rng.choice(({"attempts": 0}, {"attempts": 2, "retryOn": "5xx,503"}, {"attempts": 1})), 0.2
        ),
        "rewrite": _maybe(rng, rng.choice(({"uri": "/new"}, {"authority": "w.example"})), 0.2),
        "mirrors": _maybe(
            rng, [{"destination": _destination(rng), "percentage": {"value": rng.choice((0, 10.5))}}], 0.15
        ),
        "headers": _maybe(rng, {"request": {"add": {"x-r": "1"}, "remove": ["x-q"]}}, 0.15),
        "fault": _maybe(rng, {"abort": {"httpStatus": 500, "percentage": {"value": 5}}}, 0.1),
    }
    kept = {key: value for key, value in more.items() if value is not None}
    return rule | {"route": _routes(rng, headers=True)} | kept


def _stream_match(rng: random.Random) -> Document:
    made = {
        "port": _maybe(rng, rng.choice(PORTS), 0.3),
        "destinationSubnets": _maybe(rng, _some(rng, NETWORKS), 0.3),
        "sourceLabels": _maybe(rng, {"app": rng.choice(APPS)}, 0.2),
        "sourceNamespace": _maybe(rng, rng.choice(NAMESPACES), 0.1),
        "gateways": _maybe(rng, [rng.choice(("mesh", "other"))], 0.1),
    }
    return {key: value for key, value in made.items() if value is not None}


def _virtual_service(rng: random.Random) -> tuple[str, Document]:
    wild = rng.random() < 0.3
    hosts = [rng.choice(WILDCARDS)] if wild else _some(rng, (*HOSTS, "only.rule.example"))
    tls = [
        {"match": [{"sniHosts": [rng.choice(hosts)]} | _stream_match(rng)], "route": _routes(rng, headers=False)}
        for _ in range(rng.choice((0, 0, 1, 2)))
    ]
    tcp = [
        ({"match": [_stream_match(rng) for _ in range(rng.randint(1, 2))]} if rng.random() < 0.7 else {})
        | {"route": _routes(rng, headers=False)}
        for _ in range(rng.choice((0, 0, 1, 2)))
    ]
    http = [_http(rng) for _ in range(rng.choice((0, 1, 1, 2, 3)))]
    if not (http or tls or tcp):
        http = [{"route": _routes(rng, headers=True)}]
    spec = {
        "hosts": hosts,
        "http": http or None,
        "tls": tls or None,
        "tcp": tcp or None,
        "gateways": _maybe(rng, rng.choice((["mesh"], ["other"], ["mesh", "shop/other"])), 0.15),
        "exportTo": _maybe(rng, rng.choice((["."], ["*"], ["default", "elsewhere"], ["elsewhere"])), 0.25),
    }
    return "VirtualService", spec


def _delegates(rng: random.Random) -> list[Document]:
    root = {
        "hosts": [rng.choice(HOSTS)],
        "http": [
            {
                "match": [_http_match(rng)],
                "delegate": {"name": "d", "namespace": "shop"},
                "timeout": "9s",
                "name": "root",
            },
            _http(rng),
        ],
    }
    rules = [rule for rule in (_http(rng) for _ in range(3)) if "redirect" not in rule]
    for rule in rules:
        rule["match"] = [
            {key: value for key, value in match.items() if key not in ("sourceNamespace", "gateways")}
            for match in rule.get("match", [])
        ]
    spec = {"http": rules or [{"route": _routes(rng, headers=False)}]}
    return [_object("VirtualService", "root", "default", root), _object("VirtualService", "d", "shop", spec)]


def _destination_rule(rng: random.Random) -> tuple[str, Document]:
    hashed = rng.choice(({"httpHeaderName": "x-user"}, {"useSourceIp": True}, {"httpQueryParameterName": "q"}))
    balancer = rng.choice((None, {"simple": "RANDOM"}, {"consistentHash": hashed}))
    policy = {
        "loadBalancer": balancer,
        "connectionPool": _maybe(
            rng, {"tcp": {"idleTimeout": f"{rng.randint(1, 99)}s", "maxConnectionDuration": "1h"}}
        ),
        "portLevelSettings": _maybe(
            rng,
            [{"port": {"number": rng.choice(PORTS)}, "loadBalancer": {"consistentHash": {"httpHeaderName": "x-p"}}}],
        ),
    }
    kept = {key: value for key, value in policy.items() if value is not None}
    own = {"trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-s"}}}}
    selected = rng.random() < 0.2
    spec = {
        "host": rng.choice((*HOSTS, *WILDCARDS)),
        "trafficPolicy": kept or None,
        "subsets": _maybe(rng, [{"name": "v1", "labels": {"v": "1"}} | (own if rng.random() < 0.5 else {})], 0.4),
        "exportTo": None if selected else _maybe(rng, rng.choice((["."], ["*"], ["default", "elsewhere"])), 0.3),
        "workloadSelector": {"matchLabels": {"app": rng.choice(APPS)}} if selected else None,
    }
    return "DestinationRule", spec


def _egress_host(rng: random.Random) -> str:
    namespace = rng.choice((".", "*", "default", "shop", "~", "~default", "*"))
    return f"{namespace}/{rng.choice(('*', '*', *HOSTS, '*.example.com'))}"


def _sidecar(rng: random.Random) -> tuple[str, Document]:
    egress: list[Document] = []
    for number in sorted(set(_some(rng, PORTS, 0, 2))):
        port = {"number": number, "name": f"p{number}", "protocol": rng.choice(("HTTP", "TCP", "TLS", "HTTP"))}
        listener = {"port": port, "hosts": [_egress_host(rng)], "captureMode": _maybe(rng, "NONE", 0.2)}
        egress.append({key: value for key, value in listener.items() if value is not None})
    if rng.random() < 0.8 or not egress:
        egress.append({"hosts": [_egress_host(rng) for _ in range(rng.randint(1, 3))]})
    spec = {
        "workloadSelector": _maybe(rng, {"labels": {"app": rng.choice(APPS)}}, 0.5),
        "egress": egress,
        "outboundTrafficPolicy": _maybe(rng, {"mode": rng.choice(("ALLOW_ANY", "REGISTRY_ONLY"))}, 0.3),
    }
    return "Sidecar", spec
