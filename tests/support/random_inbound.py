"""Random services, policies and settings for what is sent to applications, overlapping in every way; by seed alone."""

from typing import Any

import yaml

from tests.support.dice import Dice
from tests.support.istio_compiler import Asker

ADDRESS, ADDRESS_V6 = "10.1.0.11", "2001:db8::11"
ROOT = "istio-system"
LABELS = {"app": "cart", "version": "v1"}
PORTS = (80, 443, 3306, 8080, 8081, 9090, 15020, 15021)
PROTOCOLS = ("HTTP", "HTTP", "HTTP2", "GRPC", "GRPC-WEB", "TCP", "TLS", "HTTPS", "MONGO", "MYSQL", "REDIS", "")
PREFIXES = ("http", "http2", "grpc", "grpc-web", "tcp", "tls", "https", "mongo", "mysql", "redis", "x")
MODES = ("STRICT", "PERMISSIVE", "DISABLE", "UNSET")
JWKS = '{"keys":[{"kty":"oct","alg":"HS256","kid":"1","k":"c2VjcmV0"}]}'
Document = dict[str, Any]


def mesh(seed: int) -> str:
    """The settings of the mesh."""
    dice = Dice(seed)
    suites = ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]
    found = {"accessLogFile": "/dev/stdout", "enableTracing": False} | dice.fields(
        0.3,
        protocolDetectionTimeout=lambda: dice.one(["0s", "3s", "100ms"]),
        inboundTrafficPolicy=lambda: {"mode": dice.one(["PASSTHROUGH", "LOCALHOST"])},
        trustDomain="mesh.example",
        trustDomainAliases=["old.example", "older.example"],
        pathNormalization=lambda: {"normalization": dice.one(["NONE", "MERGE_SLASHES"])},
        tcpKeepalive={"probes": 3, "time": "60s", "interval": "5s"},
        connectTimeout="7s",
        enableAutoMtls=False,
        meshMTLS=lambda: dice.fields(0.5, minProtocolVersion="TLSV1_3", cipherSuites=suites),
        tlsDefaults=lambda: dice.fields(0.5, ecdhCurves=["P-256", "X25519"]),
        defaultConfig=lambda: dice.fields(
            0.5, proxyHeaders={"server": {"disabled": True}}, statusPort=15020, proxyAdminPort=15000
        ),
        proxyInboundListenPort=15106,
        h2UpgradePolicy="UPGRADE",
    )
    return str(yaml.safe_dump(found))


def asker(seed: int) -> Asker:
    """The proxy of the workload."""
    dice = Dice(seed + 1_000_000)
    addresses = [ADDRESS]
    if dice.maybe(0.25):
        addresses = dice.one([[ADDRESS, ADDRESS_V6], [ADDRESS_V6, ADDRESS], [ADDRESS, "10.1.0.12"]])
    metadata = {
        "LABELS": LABELS,
        "NAMESPACE": "default",
        "CLUSTER_ID": "Kubernetes",
        "INTERCEPTION_MODE": dice.one(["REDIRECT", "REDIRECT", "REDIRECT", "REDIRECT", "TPROXY", "NONE"]),
        "INSTANCE_IPS": ",".join(addresses),
    } | dice.fields(
        0.15,
        HTTP10="1",
        IDLE_TIMEOUT=lambda: dice.one(["30s", "0s", "what"]),
        UNPRIVILEGED_POD="true",
        ENVOY_STATUS_PORT=15021,
        ENVOY_PROMETHEUS_PORT=15090,
        SERVICE_ACCOUNT="cart",
        MESH_ID="m",
        PROXY_CONFIG=lambda: {"proxyHeaders": {"server": {"value": "mine"}, "requestId": {"disabled": True}}},
        TLS_SERVER_CERT_CHAIN="/etc/own/cert.pem",
        TLS_SERVER_KEY="/etc/own/key.pem",
        TLS_SERVER_ROOT_CERT="/etc/own/root.pem",
        SIDECAR_PORTS="1",
        DISABLE_MX="1",
        EXIT_ON_ZERO_ACTIVE_CONNECTIONS="true",
    )
    return Asker("sidecar~10.1.0.11~cart-1.default~default.svc.cluster.local", metadata)


def world(seed: int) -> str:
    """The objects."""
    dice = Dice(seed + 2_000_000)
    made = [_workload_entry(dice)]
    if dice.maybe(0.5):
        made += [_entry(dice, number) for number in range(dice.random.randint(0, 3))]
    else:
        made = _cluster(dice)
    for make, most in ((_peers, 3), (_authorization, 3), (_tokens, 2), (_rule, 2)):
        made += [make(dice, number) for number in range(dice.random.randint(0, most))]
    made += [_sidecar(dice)] if dice.maybe(0.4) else []
    return "\n---\n".join(yaml.safe_dump(document, sort_keys=False) for document in made)


def _object(dice: Dice, group: str, kind: str, name: str, namespace: str, spec: Document) -> Document:
    created = f"2026-01-0{dice.random.randint(1, 9)}T00:00:00Z"
    return {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": spec,
    }


def _workload_entry(dice: Dice) -> Document:
    spec = {"address": ADDRESS, "labels": LABELS, "serviceAccount": "cart"}
    ports = dice.fields(0.2, ports=lambda: {f"port-{dice.one(PORTS)}": dice.one(PORTS)})
    return _object(dice, "networking", "WorkloadEntry", "cart-1", "default", spec | ports)


def _entry(dice: Dice, number: int) -> Document:
    ports: list[Document] = []
    for own in sorted(dice.some(PORTS, 1, 5)):
        port = {"number": own, "name": f"port-{own}", "protocol": dice.one(PROTOCOLS)}
        target = dice.one(PORTS) if dice.maybe(0.3) else own
        if target not in {port.get("targetPort", port["number"]) for port in ports}:  # of two Istio takes any
            ports.append(port | ({"targetPort": target} if target != own else {}))
    spec = {
        "hosts": [f"{'zyx'[number]}.example.com"],
        "location": dice.one(["MESH_INTERNAL", "MESH_INTERNAL", "MESH_EXTERNAL"]),
        "resolution": dice.one(["STATIC", "STATIC", "STATIC", "NONE"]),
        "ports": [{key: value for key, value in port.items() if value} for port in ports],
    }
    spec |= dice.fields(0.2, exportTo=["~"])
    spec |= dice.fields(0.5, addresses=[f"10.96.0.{number + 1}"])
    if spec["resolution"] == "STATIC":
        by_label = {"workloadSelector": {"labels": {"app": "cart"}}}
        spec |= by_label if dice.maybe(0.8) else {"endpoints": [{"address": ADDRESS, "labels": LABELS}]}
    return _object(dice, "networking", "ServiceEntry", f"entry-{number}", "default", spec)


def _cluster(dice: Dice) -> list[Document]:
    """A pod and the Services that select it."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cart-1", "namespace": "default", "labels": LABELS},
        "spec": {
            "serviceAccountName": "cart",
            "containers": [
                {"name": "app", "image": "app", "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]}
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": ADDRESS,
            "podIPs": [{"ip": ADDRESS}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    made = [pod]
    for number in range(dice.random.randint(0, 3)):
        made += _service(dice, number)
    return made


def _service(dice: Dice, number: int) -> list[Document]:
    name = f"{'zyx'[number]}-service"
    ports: list[Document] = []
    slice_ports = []
    for own in sorted(dice.some(PORTS, 1, 4)):
        prefix = dice.one(PREFIXES)
        target = dice.one([own, own, dice.one(PORTS), "web"])
        transport = "UDP" if prefix == "udp" else "TCP"
        port: Document = {"name": f"{prefix}-{own}", "port": own, "targetPort": target, "protocol": transport}
        ports.append(
            port | dice.fields(0.2, appProtocol=lambda: dice.one(["http", "tcp", "kubernetes.io/h2c", "other"]))
        )
        slice_ports.append({"name": port["name"], "port": 8080 if target == "web" else target, "protocol": transport})
    address = "None" if dice.maybe(0.3) else f"10.95.0.{number + 1}"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": address, "clusterIPs": [address], "selector": {"app": "cart"}, "ports": ports},
    }
    created = f"2026-01-0{dice.random.randint(1, 9)}T00:00:00Z"
    service["metadata"] |= dice.fields(0.5, creationTimestamp=created)  # type: ignore[operator]
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": slice_ports,
        "endpoints": [
            {
                "addresses": [ADDRESS],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "name": "cart-1", "namespace": "default"},
            }
        ],
    }
    return [service, endpoints]


def _peers(dice: Dice, number: int) -> Document:
    spec: Document = {"mtls": {"mode": dice.one(MODES)}} if dice.maybe(0.8) else {}
    if dice.maybe(0.5):
        spec["selector"] = {"matchLabels": {"app": dice.one(["cart", "cart", "other"])}}
        if dice.maybe(0.6):
            ports = dice.some([*PORTS, 7000, 7001])
            spec["portLevelMtls"] = {str(port): {"mode": dice.one(MODES)} for port in ports}
    namespace = dice.one(["default", "default", ROOT])
    return _object(dice, "security", "PeerAuthentication", f"peers-{number}", namespace, spec)


def _where(dice: Dice) -> Document:
    return {"selector": {"matchLabels": {"app": dice.one(["cart", "cart", "other"])}}} if dice.maybe(0.5) else {}


def _condition(dice: Dice) -> Document:
    key, values = dice.one(
        [
            ("request.headers[x-a]", ["v", "w*", "*"]),
            ("source.ip", ["10.0.0.0/8", "192.168.1.1"]),
            ("remote.ip", ["10.0.0.0/8"]),
            ("source.namespace", ["shop", "s*"]),
            ("source.principal", ["cluster.local/ns/shop/sa/x", "*"]),
            ("destination.port", ["80", "9090"]),
            ("destination.ip", ["10.1.0.0/16"]),
            ("connection.sni", ["*.example.com", "a.example.com"]),
            ("request.auth.claims[iss]", ["issuer"]),
            ("request.auth.principal", ["issuer/*"]),
        ]
    )
    return {"key": key, dice.one(["values", "values", "notValues"]): dice.some(values, 1, len(values))}


def _source(dice: Dice) -> Document:
    who = dice.one(
        [
            {"principals": ["cluster.local/ns/shop/sa/x"]},
            {"namespaces": ["shop"], "notNamespaces": ["bad"]},
            {"serviceAccounts": ["shop/x", "own"]},
            {"ipBlocks": ["10.0.0.0/8"]},
        ]
    )
    more = dice.fields(0.3, remoteIpBlocks=["10.0.0.0/8"], requestPrincipals=["issuer/*"], notIpBlocks=["10.9.0.1"])
    return {"source": who | more}


def _operation(dice: Dice) -> Document:
    found = dice.fields(
        0.35,
        ports=["80", "8080"],
        notPorts=["1"],
        hosts=["a.example", "*.example"],
        methods=["GET"],
        paths=["/a", "/b*", "*/c", "/d/{*}"],
        notPaths=["/x"],
    )
    return {"operation": found or {"ports": ["80"]}}


def _authorization(dice: Dice, number: int) -> Document:
    def rule() -> Document:
        conditions = dice.fields(
            0.5,
            to=lambda: [_operation(dice)],
            when=lambda: [_condition(dice) for _ in range(dice.random.randint(1, 2))],
        )
        return {"from": [_source(dice)]} | conditions

    spec = _where(dice) | {"action": "ALLOW"}
    if dice.maybe(0.85):
        spec["action"] = dice.one(["ALLOW", "ALLOW", "DENY", "AUDIT"])
        spec["rules"] = [rule() for _ in range(dice.random.randint(1, 2))]
    namespace = dice.one(["default", "default", ROOT])
    return _object(dice, "security", "AuthorizationPolicy", f"authorization-{number}", namespace, spec)


def _tokens(dice: Dice, number: int) -> Document:
    rules = [
        {"issuer": f"issuer-{place}", "jwks": JWKS}
        | dice.fields(0.3, audiences=["a"], forwardOriginalToken=True, fromParams=["token"], timeout="2s")
        for place in range(dice.random.randint(0, 2))
    ]
    namespace = dice.one(["default", "default", ROOT])
    spec = _where(dice) | {"jwtRules": rules}
    return _object(dice, "security", "RequestAuthentication", f"tokens-{number}", namespace, spec)


def _pool(dice: Dice) -> Document:
    tcp = dice.fields(
        0.4, connectTimeout="3s", tcpKeepalive={"probes": 2}, idleTimeout="9s", maxConnectionDuration="99s"
    )
    http = dice.fields(
        0.4,
        http2MaxRequests=5,
        maxRequestsPerConnection=6,
        maxRetries=2,
        idleTimeout="8s",
        **dice.one([{"h2UpgradePolicy": "UPGRADE"}, {"useClientProtocol": True}]),
    )
    both = {"tcp": {"maxConnections": 7} | tcp, "http": {"http1MaxPendingRequests": 4} | http}
    return {"tcp": {"maxConnections": 8}} | dice.fields(0.5, **both)


def _rule(dice: Dice, number: int) -> Document:
    host = dice.one(["z.example.com", "z-service.default.svc.cluster.local", "y.example.com", "*.example.com"])
    of_port = {"port": {"number": dice.one(PORTS)}, "connectionPool": _pool(dice)}
    policy = dice.fields(
        0.6,
        connectionPool=_pool(dice),
        portLevelSettings=[of_port],
        outlierDetection={"interval": "9s"},
        retryBudget={"percent": 9, "budgetInterval": "3s"},
    )
    spec = {"host": host} | ({"trafficPolicy": policy} if policy else {})
    return _object(dice, "networking", "DestinationRule", f"rule-{number}", "default", spec)


def _sidecar(dice: Dice) -> Document:
    def listener(number: int) -> Document:
        endpoint = dice.one(
            ["127.0.0.1:9000", "0.0.0.0:9000", "unix:///run/app.sock", ":9000", "[::1]:9000", "[::]:9000"]
        )
        port = {"number": number, "name": f"in-{number}", "protocol": dice.one([p for p in PROTOCOLS if p])}
        tls = {"mode": "SIMPLE", "serverCertificate": "/own/cert.pem", "privateKey": "/own/key.pem"}
        mutual = tls | {"mode": "MUTUAL", "caCertificates": "/own/ca.pem"}
        found = {"port": port} | dice.fields(
            0.3,
            bind=lambda: dice.one(["0.0.0.0", "10.1.0.11", "127.0.0.1", "::"]),
            captureMode=lambda: dice.one(["NONE", "IPTABLES", "DEFAULT"]),
            connectionPool={"tcp": {"maxConnections": 3}, "http": {"maxRequestsPerConnection": 2}},
            tls=lambda: dice.one([tls, mutual, tls | {"minProtocolVersion": "TLSV1_3"}]),
        )
        if "tls" in found:
            port["protocol"] = dice.one(["HTTPS", "TLS"])
        return found | ({"defaultEndpoint": endpoint} if dice.maybe(0.7) else {})

    spec = dice.fields(
        0.5,
        workloadSelector={"labels": {"app": "cart"}},
        inboundConnectionPool={"http": {"http2MaxRequests": 11}, "tcp": {"maxConnections": 12}},
    )
    ports = sorted(dice.some(PORTS, 1, 4))
    spec |= {"ingress": [listener(number) for number in ports]} if dice.maybe(0.8) else {}
    spec |= {} if "ingress" in spec and dice.maybe(0.6) else {"egress": [{"hosts": ["*/*"]}]}
    return _object(dice, "networking", "Sidecar", "sidecar", "default", spec)
