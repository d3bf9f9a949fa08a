"""Random services with hosts in several places, and rules over all that decides about clusters; by seed alone."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import yaml

NAMESPACES = ("default", "shop")
HOSTS = ("a.example", "b.example", "c.example", "d.default.svc.cluster.local")
PORTS = (80, 443, 9090)
PLACES = ("r1/z1/s1", "r1/z1/s2", "r1/z2", "r2/z1", "r3", "")
KEYS = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "team", "team=b", "topology.istio.io/network")
Document = dict[str, Any]


def world(seed: int) -> str:
    """The objects, as YAML."""
    rng = random.Random(seed)
    made = [_entry(rng, number, host) for number, host in enumerate(HOSTS) if rng.random() < 0.8]
    made += [_workload(rng, number) for number in range(rng.randint(0, 6))]
    made += [_rule(rng, number) for number in range(rng.randint(1, 5))]
    made += [_authentication(rng, number) for number in range(rng.choice((0, 0, 1)))]
    return "\n---\n".join(yaml.safe_dump(document, sort_keys=False) for document in made)


def mesh(seed: int) -> str:
    """Settings of the mesh; few different ones, as each takes an istiod of its own."""
    settings: tuple[Document, ...] = (
        {},
        {
            "localityLbSetting": {"failover": [{"from": "r1", "to": "r3"}]},
            "tcpKeepalive": {"time": "9s"},
            "h2UpgradePolicy": "UPGRADE",
            "defaultTrafficPolicy": {"outlierDetection": {"interval": "4s"}},
        },
        {"localityLbSetting": {"distribute": [{"from": "r1/*", "to": {"r1/*": 60, "r2/*": 40}}]}},
        {"zoneAwareLbSetting": {"minClusterSize": 2}, "enableAutoMtls": False},
    )
    return yaml.safe_dump({"accessLogFile": "/dev/stdout", "enableTracing": False} | settings[seed % len(settings)])


def _object(kind: str, name: str, namespace: str, spec: Document, **metadata: Any) -> Document:
    kept = {key: value for key, value in metadata.items() if value}
    group = "security" if kind == "PeerAuthentication" else "networking"
    return {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **kept},
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def _fields(rng: random.Random, chance: float, **made: Callable[[], Any]) -> Document:
    return {name: make() for name, make in made.items() if rng.random() < chance}


def _some(rng: random.Random, values: Sequence[Any], most: int = 3) -> list[Any]:
    return rng.sample(values, rng.randint(1, most))


def _entry(rng: random.Random, number: int, host: str) -> Document:
    resolution = rng.choice(("STATIC", "STATIC", "DNS", "DNS_ROUND_ROBIN", "NONE"))
    protocols = ("HTTP", "HTTP2", "GRPC", "TCP", "TLS", "")
    ports = [{"number": n, "name": f"p{n}", "protocol": rng.choice(protocols)} for n in sorted(_some(rng, PORTS, 2))]
    spec: Document = {
        "hosts": [host],
        "location": rng.choice(("MESH_INTERNAL", "MESH_EXTERNAL")),
        "resolution": resolution,
        "addresses": [f"10.96.0.{number + 1}"],
        "ports": [{key: value for key, value in port.items() if value} for port in ports],
        **_fields(rng, 0.2, subjectAltNames=lambda: ["spiffe://x/y"]),
    }
    if resolution == "STATIC" and rng.random() < 0.7:
        spec["workloadSelector"] = {"labels": {"app": "reviews"}}
    elif resolution != "NONE":
        # of names, one place alone: istiod orders those of several only where there are no more hosts than in the first
        count = 1 if resolution == "DNS_ROUND_ROBIN" else rng.randint(1, 3)
        place = rng.choice(PLACES)
        spec["endpoints"] = [
            _host(rng, f"h{n}.example" if resolution != "STATIC" else f"10.3.{number}.{n}")
            | ({} if resolution == "STATIC" else {"locality": place})
            for n in range(1, count + 1)
        ]
    near = rng.choice(("PreferClose", "PreferSameNode", "PreferSameZone"))
    annotations = {"networking.istio.io/traffic-distribution": near} if rng.random() < 0.2 else {}
    created = f"2026-01-0{rng.randint(1, 9)}T00:00:00Z"
    namespace = rng.choice(NAMESPACES)
    return _object(
        "ServiceEntry", f"entry-{number}", namespace, spec, annotations=annotations, creationTimestamp=created
    )


def _host(rng: random.Random, address: str) -> Document:
    return {
        "address": address,
        **_fields(
            rng,
            0.6,
            locality=lambda: rng.choice(PLACES),
            weight=lambda: rng.randint(1, 5),
            labels=lambda: {"app": "reviews", "team": rng.choice("ab")},
            serviceAccount=lambda: rng.choice(("reviews", "other")),
        ),
    }


def _workload(rng: random.Random, number: int) -> Document:
    spec = {"labels": {"app": "reviews"}} | _host(rng, f"10.2.0.{number + 1}")
    return _object("WorkloadEntry", f"reviews-{number}", rng.choice(NAMESPACES), spec)


def _authentication(rng: random.Random, number: int) -> Document:
    mode = rng.choice(("STRICT", "PERMISSIVE", "DISABLE"))
    return _object(
        "PeerAuthentication", f"p{number}", rng.choice((*NAMESPACES, "istio-system")), {"mtls": {"mode": mode}}
    )


def _localities(rng: random.Random) -> Document:
    return rng.choice(
        (
            {"enabled": rng.random() < 0.5},
            {"distribute": [{"from": rng.choice(("r1/*", "r1/z1/*", "r2")), "to": {"r1/z1/*": 30, "r2": 70}}]},
            {"failover": [{"from": "r1", "to": "r2"}, {"from": "r2", "to": "r3"}]},
            {"failoverPriority": _some(rng, KEYS)},
            {"failoverPriority": ["team"], "failover": [{"from": "r1", "to": "r2"}]},
        )
    )


def _zones(rng: random.Random) -> Document:
    return _fields(
        rng,
        0.5,
        enabled=lambda: rng.random() < 0.7,
        minClusterSize=lambda: rng.randint(1, 9),
        failover=lambda: [{"from": "r1", "to": "r3"}],
        failoverPriority=lambda: ["team"],
    )


def _balancer(rng: random.Random) -> Document:
    hashed = {"useSourceIp": True} | rng.choice(
        (
            {},
            {"minimumRingSize": 9},
            {"ringHash": {}},
            {"ringHash": {"minimumRingSize": 2048}},
            {"maglev": {"tableSize": 65537}},
        )
    )
    names = ("ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "UNSPECIFIED")
    chosen = {"consistentHash": hashed} if rng.random() < 0.3 else {"simple": rng.choice(names)}
    warmup = {"duration": "30s"} | _fields(rng, 0.5, aggression=lambda: 2.5, minimumPercent=lambda: 20)
    place = rng.choice(({}, {"localityLbSetting": _localities(rng)}, {"zoneAwareLbSetting": _zones(rng)}))
    ramp = rng.choice(({}, {"warmup": warmup}, {"warmupDurationSecs": "20s"}))
    return ({} if rng.random() < 0.3 else chosen) | place | ramp


def _pool(rng: random.Random) -> Document:
    tcp = _fields(
        rng,
        0.4,
        maxConnections=lambda: 3,
        connectTimeout=lambda: "2s",
        maxConnectionDuration=lambda: "60s",
        idleTimeout=lambda: "50s",
        tcpKeepalive=lambda: _fields(rng, 0.5, probes=lambda: 4, time=lambda: "7s", interval=lambda: "8s"),
    )
    http = _fields(
        rng,
        0.4,
        http1MaxPendingRequests=lambda: 4,
        http2MaxRequests=lambda: 5,
        maxRequestsPerConnection=lambda: 6,
        maxRetries=lambda: 7,
        idleTimeout=lambda: "8s",
        h2UpgradePolicy=lambda: rng.choice(("DEFAULT", "UPGRADE", "DO_NOT_UPGRADE")),
        useClientProtocol=lambda: rng.random() < 0.5,
        maxConcurrentStreams=lambda: 9,
        http2KeepAlive=lambda: {"interval": "5s", "timeout": "2s"},
    )
    return {"tcp": tcp, "http": http}


def _outliers(rng: random.Random) -> Document:
    split = {"splitExternalLocalOriginErrors": True} | _fields(rng, 0.5, consecutiveLocalOriginFailures=lambda: 3)
    return (split if rng.random() < 0.3 else {}) | _fields(
        rng,
        0.4,
        consecutive5xxErrors=lambda: rng.choice((0, 7)),
        consecutiveGatewayErrors=lambda: rng.choice((0, 3)),
        interval=lambda: "5s",
        baseEjectionTime=lambda: "400s",
        maxEjectionPercent=lambda: rng.choice((0, 60)),
        minHealthPercent=lambda: rng.choice((0, 30)),
    )


def _tls(rng: random.Random) -> Document:
    return rng.choice(
        (
            {"mode": "DISABLE"},
            {"mode": "ISTIO_MUTUAL"},
            {"mode": "ISTIO_MUTUAL", "sni": "s.example", "subjectAltNames": ["n.example"]},
            {"mode": "SIMPLE", "sni": "s.example"},
            {"mode": "SIMPLE", "caCertificates": "/etc/ca.pem", "subjectAltNames": ["n.example"]},
            {"mode": "MUTUAL", "clientCertificate": "/etc/c.pem", "privateKey": "/etc/k.pem"},
            {"mode": "SIMPLE", "insecureSkipVerify": True},
        )
    )


def _settings(rng: random.Random) -> Document:
    found = _fields(
        rng,
        0.45,
        loadBalancer=lambda: _balancer(rng),
        connectionPool=lambda: _pool(rng),
        outlierDetection=lambda: _outliers(rng),
        tls=lambda: _tls(rng),
    )
    return found or {"tls": {"mode": "DISABLE"}}


def _policy(rng: random.Random) -> Document:
    budget = _fields(
        rng,
        0.5,
        percent=lambda: 12.5,
        minRetryConcurrency=lambda: rng.choice((0, 9)),
        budgetInterval=lambda: rng.choice(("0s", "2.5s")),
    )
    ports = [{"port": {"number": rng.choice(PORTS)}} | _settings(rng)]
    return _settings(rng) | _fields(rng, 0.25, retryBudget=lambda: budget, portLevelSettings=lambda: ports)


def _rule(rng: random.Random, number: int) -> Document:
    subset = {"name": "v1"} | _fields(
        rng, 0.6, labels=lambda: {"team": rng.choice("ab")}, trafficPolicy=lambda: _policy(rng)
    )
    spec = {"host": HOSTS[number % len(HOSTS)]} | _fields(
        rng, 0.7, trafficPolicy=lambda: _policy(rng), subsets=lambda: [subset]
    )
    created = {"creationTimestamp": f"2026-01-0{rng.randint(1, 9)}T00:00:00Z"}
    return _object("DestinationRule", f"r{number}", rng.choice((*NAMESPACES, "istio-system")), spec, **created)
