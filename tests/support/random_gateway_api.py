"""Random Gateways and routes of the Gateway API, with what they refer to or not; by seed alone.

Fields that kube-apiserver fills in are written out, as the cluster that istiod reads in the tests does not.
"""

import random
from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = ("a.example.com", "b.example.com", "*.example.com", "x.a.example.com", "c.test", "*.test")
NAMESPACES = ("default", "edge", "other")
SERVICES = ("web", "db", "gone")
GROUP = "gateway.networking.k8s.io"
CREATED = "2024-01-01T00:00:00Z"


@cache
def secret() -> dict[str, str]:
    """The content of a Secret with a certificate, made once."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(datetime(2024, 1, 1, tzinfo=UTC)).not_valid_after(
        datetime(2044, 1, 1, tzinfo=UTC)
    )
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"tls.crt": b64encode(certificate).decode(), "tls.key": b64encode(encoded).decode()}


def world(seed: int) -> str:
    """The objects of a world as YAML."""
    rng = random.Random(seed)
    objects = [*_cluster(rng), *(_gateway(rng, name) for name in ("shop", "tool")[: rng.randint(1, 2)])]
    objects += [_route(rng, number) for number in range(rng.randint(1, 6))]
    objects += [_grant(rng, number) for number in range(rng.randint(0, 2))]
    return "".join(f"---\n{yaml.safe_dump(item)}" for item in objects)


def _meta(name: str, namespace: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, **({"namespace": namespace} if namespace else {}), "creationTimestamp": CREATED, **more}


def _cluster(rng: random.Random) -> list[dict[str, Any]]:
    labels = {"default": {"shop": "yes"}, "edge": {}, "other": {"shop": "no"}}
    found: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": _meta(name, labels=labels[name])} for name in NAMESPACES
    ]
    found += [_service(name, "edge", name, (80, 443, 9000)) for name in ("shop-istio", "tool-istio")]
    found += [
        _service("web", "default", "web", (80,)),
        _service("db", "default", "db", (5432, 80)),
        _service("web", "other", "web", (80,)),
    ]
    for namespace in rng.sample(NAMESPACES, 2):
        content = secret() if rng.random() < 0.8 else {"wrong": "YQ=="}
        found.append({"apiVersion": "v1", "kind": "Secret", "metadata": _meta("secret", namespace), "data": content})
    return found


def _service(name: str, namespace: str, app: str, numbers: Sequence[int]) -> dict[str, Any]:
    label = {"gateway": "yes"} if name.endswith("-istio") else {"app": app}
    ports = [
        {"name": "tcp" if number > 5000 else f"http-{number}", "port": number, "targetPort": number, "protocol": "TCP"}
        for number in numbers
    ]
    address = f"10.96.{NAMESPACES.index(namespace)}.{sum(map(ord, name)) % 200 + 1}"
    spec = {"clusterIP": address, "selector": label, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name, namespace), "spec": spec}


def _gateway(rng: random.Random, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"gatewayClassName": "istio"}
    listeners = [_listener(rng, number) for number in range(rng.randint(1, 4))]
    seen: set[tuple[Any, ...]] = set()
    spec["listeners"] = [
        item
        for item in listeners
        if (key := (item["port"], item["protocol"], item.get("hostname"))) not in seen and not seen.add(key)  # type: ignore[func-returns-value]
    ]
    if rng.random() < 0.2:
        spec["addresses"] = [
            rng.choice(({"type": "Hostname", "value": "shop-istio"}, {"type": "IPAddress", "value": "1.2.3.4"}))
        ]
    return {"apiVersion": f"{GROUP}/v1", "kind": "Gateway", "metadata": _meta(name, "edge"), "spec": spec}


def _listener(rng: random.Random, number: int) -> dict[str, Any]:
    protocol = rng.choice(("HTTP", "HTTP", "HTTP", "HTTPS", "HTTPS", "TLS", "TLS", "TCP"))
    port = 9000 if protocol == "TCP" and rng.random() < 0.7 else rng.choice((80, 443, 443, 8080))
    listener: dict[str, Any] = {"name": f"l{number}", "port": port, "protocol": protocol}
    if protocol != "TCP" and rng.random() < 0.6:
        listener["hostname"] = rng.choice(HOSTS)
    if protocol in ("HTTPS", "TLS"):
        listener["tls"] = _tls(rng, protocol)
    allowed: dict[str, Any] = {"namespaces": {"from": rng.choice(("All", "All", "Same", "Selector"))}}
    if allowed["namespaces"]["from"] == "Selector":
        allowed["namespaces"]["selector"] = {"matchLabels": {"shop": rng.choice(("yes", "no", "never"))}}
    if rng.random() < 0.2:
        allowed["kinds"] = [{"group": GROUP, "kind": rng.choice(("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"))}]
    listener["allowedRoutes"] = allowed
    return listener


def _tls(rng: random.Random, protocol: str) -> dict[str, Any]:
    if protocol == "TLS" and rng.random() < 0.6:
        return {"mode": "Passthrough"}
    refs = [_reference(rng, "secret", "Secret") for _ in range(rng.randint(1, 2))]
    tls: dict[str, Any] = {"mode": "Terminate", "certificateRefs": refs}
    if rng.random() < 0.3:
        modes = ("MUTUAL", "OPTIONAL_MUTUAL", "ISTIO_SIMPLE", "ISTIO_MUTUAL")
        tls["options"] = {"gateway.istio.io/tls-terminate-mode": rng.choice(modes)}
    if rng.random() < 0.2:
        tls.setdefault("options", {})["gateway.istio.io/tls-cipher-suites"] = "AES128-SHA, nonsense"
    return tls


def _reference(rng: random.Random, name: str, kind: str) -> dict[str, Any]:
    found: dict[str, Any] = {"group": "", "kind": kind, "name": name}
    if rng.random() < 0.3:
        found["namespace"] = rng.choice(NAMESPACES)
    return found


def _grant(rng: random.Random, number: int) -> dict[str, Any]:
    kind = rng.choice(("HTTPRoute", "Gateway", "TCPRoute"))
    to: dict[str, Any] = {"group": "", "kind": "Secret" if kind == "Gateway" else "Service"}
    if rng.random() < 0.3:
        to["name"] = "web"
    source = {"group": GROUP, "kind": kind, "namespace": rng.choice(NAMESPACES)}
    metadata = _meta(f"grant-{number}", rng.choice(NAMESPACES))
    return {
        "apiVersion": f"{GROUP}/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": metadata,
        "spec": {"from": [source], "to": [to]},
    }


def _route(rng: random.Random, number: int) -> dict[str, Any]:
    kind = rng.choice(("HTTPRoute", "HTTPRoute", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"))
    spec: dict[str, Any] = {"parentRefs": _parents(rng)}
    if kind in ("HTTPRoute", "GRPCRoute") and rng.random() < 0.7:
        spec["hostnames"] = rng.sample(HOSTS, rng.randint(1, 2))
    if kind == "TLSRoute":
        spec["hostnames"] = rng.sample(HOSTS, rng.randint(1, 2))
    many = rng.randint(1, 3) if kind in ("HTTPRoute", "GRPCRoute") else 1
    spec["rules"] = [_rule(rng, kind) for _ in range(many)]
    metadata = _meta(f"route-{number}", rng.choice(NAMESPACES))
    metadata["creationTimestamp"] = f"2024-01-0{rng.randint(1, 9)}T00:00:00Z"
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _parents(rng: random.Random) -> list[dict[str, Any]]:
    if rng.random() < 0.25:
        ref = {"group": "", "kind": "Service", "name": rng.choice(SERVICES)}
        more = rng.choice(({}, {"port": 80}, {"namespace": "default"}))
        return [{**ref, **more}]
    found = []
    for name in rng.sample(("shop", "tool"), rng.randint(1, 2)):
        ref = {"group": GROUP, "kind": "Gateway", "name": name, "namespace": "edge"}
        found.append(
            ref | rng.choice(({}, {}, {"sectionName": "l0"}, {"port": 443}, {"sectionName": "l1", "port": 80}))
        )
    return found


def _rule(rng: random.Random, kind: str) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    filters = []
    if kind == "HTTPRoute":
        rule["matches"] = [_match(rng) for _ in range(rng.randint(1, 2))]
        single = rule["matches"][0]["path"]["type"] == "PathPrefix" and len(rule["matches"]) == 1
        filters = [item for item in (_filter(rng, single),) if rng.random() < 0.5]
    elif kind == "GRPCRoute" and rng.random() < 0.7:
        calls = ({"service": "a.B"}, {"method": "C"}, {"service": "a.B", "method": "C"})
        rule["matches"] = [{"method": {"type": rng.choice(("Exact", "RegularExpression")), **rng.choice(calls)}}]
    if filters:
        rule["filters"] = filters
    if kind == "HTTPRoute" and rng.random() < 0.3:
        rule["timeouts"] = rng.choice(({"request": "5s"}, {"request": "5s", "backendRequest": "1s"}, {"request": "0s"}))
    if kind == "HTTPRoute" and rng.random() < 0.2:
        rule["retry"] = rng.choice(({"attempts": 3}, {"codes": [500, 503], "backoff": "250ms"}))
    if any(item["type"] == "RequestRedirect" for item in filters):
        return rule
    backends = [_backend(rng, kind) for _ in range(rng.randint(1, 3))]
    if kind in ("TCPRoute", "TLSRoute") or rng.random() < 0.9:
        rule["backendRefs"] = backends
    return rule


def _backend(rng: random.Random, kind: str) -> dict[str, Any]:
    ref = _reference(rng, rng.choice(SERVICES), "Service")
    backend = {**ref, "port": rng.choice((80, 5432, 81)), "weight": rng.choice((1, 1, 1, 0, 5))}
    if kind == "HTTPRoute" and rng.random() < 0.2:
        edits = {"set": [{"name": "x-backend", "value": "1"}]}
        backend["filters"] = [{"type": "RequestHeaderModifier", "requestHeaderModifier": edits}]
    return backend


def _match(rng: random.Random) -> dict[str, Any]:
    kind = rng.choice(("PathPrefix", "PathPrefix", "Exact", "RegularExpression"))
    value = rng.choice(("/", "/a", "/a/", "/b/c")) if kind != "RegularExpression" else rng.choice(("/a.*", "/x[0-9]+"))
    match: dict[str, Any] = {"path": {"type": kind, "value": value}}
    if rng.random() < 0.3:
        match["headers"] = [{"type": rng.choice(("Exact", "RegularExpression")), "name": "x-test", "value": "1"}]
    if rng.random() < 0.2:
        match["queryParams"] = [{"type": "Exact", "name": "q", "value": "1"}]
    if rng.random() < 0.2:
        match["method"] = "GET"
    return match


def _filter(rng: random.Random, prefix: bool) -> dict[str, Any]:
    edits = {"set": [{"name": "x-a", "value": "1"}], "remove": ["x-b"]}
    path = rng.choice(
        (
            {"type": "ReplaceFullPath", "replaceFullPath": "/new"},
            {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"},
        )
    )
    if not prefix:
        path = {"type": "ReplaceFullPath", "replaceFullPath": "/new"}
    redirect = rng.choice(
        (
            {"scheme": "https", "statusCode": 301},
            {"hostname": "other.example.com", "statusCode": 302},
            {"path": path},
            {"port": 8080},
        )
    )
    mirror = {"backendRef": {"group": "", "kind": "Service", "name": rng.choice(SERVICES), "port": 80}}
    return rng.choice(
        (
            {"type": "RequestHeaderModifier", "requestHeaderModifier": edits},
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": edits},
            {"type": "RequestRedirect", "requestRedirect": redirect},
            {"type": "URLRewrite", "urlRewrite": rng.choice(({"path": path}, {"hostname": "in.example.com"}))},
            {
                "type": "RequestMirror",
                "requestMirror": mirror
                | rng.choice(({}, {"percent": 10}, {"fraction": {"numerator": 1, "denominator": 4}})),
            },
            {"type": "CORS", "cors": {"allowOrigins": ["*"], "allowMethods": ["GET"], "maxAge": 5}},
        )
    )
