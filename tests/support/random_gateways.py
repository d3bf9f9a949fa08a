"""Random Gateways, and VirtualServices that are bound to them, that conflict and overlap in every way; by seed alone."""

import random
from collections.abc import Sequence
from typing import Any

import yaml

HOSTS = ("a.example.com", "b.example.com", "*.example.com", "*", "x.a.example.com", "c.test", "*.test")
NAMESPACES = ("default", "edge", "istio-system")
RULED = (
    ["a.example.com"],
    ["a.example.com", "b.example.com"],
    ["*.example.com", "c.test"],
    ["*"],
    ["x.a.example.com", "*.test"],
)
"""Hosts of a VirtualService, of which none may lie within another."""
SERVICES = ("web.default.svc.cluster.local", "db.default.svc.cluster.local", "out.example.org", "gone.example.org")
GATEWAYS = ("one", "two", "three")

FIXED = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: gateway, namespace: istio-system}
spec:
  hosts: [gateway.istio-system.svc.cluster.local]
  addresses: [10.96.0.99]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8080}
  - {number: 443, name: https, protocol: HTTPS, targetPort: 8443}
  - {number: 8443, name: more, protocol: HTTPS}
  endpoints: [{address: 127.0.0.99, labels: {istio: ingressgateway}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: default}
spec:
  hosts: [web.default.svc.cluster.local]
  addresses: [10.96.0.10]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 9090, name: grpc, protocol: GRPC}]
  endpoints: [{address: 127.0.0.11, labels: {app: web, version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: default}
spec:
  hosts: [db.default.svc.cluster.local]
  addresses: [10.96.0.20]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  endpoints: [{address: 127.0.0.21, labels: {app: db}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: out, namespace: default}
spec:
  hosts: [out.example.org]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 443, name: https, protocol: HTTPS}, {number: 80, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: db, namespace: default}
spec:
  host: db.default.svc.cluster.local
  trafficPolicy: {connectionPool: {tcp: {idleTimeout: 40s}}}
  subsets: [{name: v1, labels: {version: v1}}]
"""


def world(seed: int) -> str:
    """The objects of a world as YAML."""
    rng = random.Random(seed)
    objects = [_gateway(rng, name) for name in GATEWAYS[: rng.randint(1, 3)]]
    objects += [_virtual_service(rng, f"rules-{number}") for number in range(rng.randint(0, 6))]
    return FIXED + "".join(f"---\n{yaml.safe_dump(item)}" for item in objects)


def _some(rng: random.Random, items: Sequence[str], least: int = 1, most: int = 3) -> list[str]:
    return rng.sample(items, rng.randint(least, min(most, len(items))))


def _object(rng: random.Random, kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    if rng.random() < 0.5:
        metadata["creationTimestamp"] = f"2024-01-0{rng.randint(1, 9)}T00:00:00Z"
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _gateway(rng: random.Random, name: str) -> dict[str, Any]:
    selector = rng.choice(({"istio": "ingressgateway"}, {"istio": "ingressgateway"}, {}, {"istio": "other"}))
    servers = [_server(rng, number) for number in range(rng.randint(1, 4))]
    return _object(rng, "Gateway", name, rng.choice(NAMESPACES), {"selector": selector, "servers": servers})


def _server(rng: random.Random, number: int) -> dict[str, Any]:
    protocol = rng.choice(("HTTP", "HTTP", "HTTP2", "GRPC", "http", "HTTPS", "HTTPS", "TLS", "TLS", "TCP", "MYSQL"))
    port = {"number": rng.choice((80, 80, 443, 443, 8443, 8080, 9000)), "name": f"p-{number}", "protocol": protocol}
    hosts = [rng.choice(("", "", "", "*/", "./", "default/")) + host for host in _some(rng, HOSTS)]
    hosts = ["*" if host == "*/*" else host for host in hosts]  # beside others `*/*` ends istiod 1.31
    server: dict[str, Any] = {"port": port, "hosts": hosts}
    if rng.random() < 0.2:
        server["bind"] = rng.choice(("127.0.0.5", "127.0.0.6"))
    if rng.random() < 0.2:
        server["name"] = f"server-{number}"
    if protocol in ("HTTPS", "TLS"):
        server["tls"] = _tls(rng)
    elif protocol not in ("TCP", "MYSQL") and rng.random() < 0.2:
        server["tls"] = {"httpsRedirect": rng.random() < 0.8}
    return server


def _tls(rng: random.Random) -> dict[str, Any]:
    mode = rng.choice(("SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL", "PASSTHROUGH", "PASSTHROUGH", "ISTIO_MUTUAL"))
    tls: dict[str, Any] = {"mode": mode}
    if mode == "PASSTHROUGH":
        return tls
    if rng.random() < 0.3:
        tls["subjectAltNames"] = ["client.example.com"]
    if mode == "ISTIO_MUTUAL":
        return tls
    tls |= rng.choice(
        (
            {"credentialName": "secret"},
            {"credentialName": "kubernetes://edge/secret"},
            {"credentialName": "sds://secret"},
            {"credentialNames": ["rsa", "ecdsa"]},
            {"serverCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/ca.pem"},
        )
    )
    if rng.random() < 0.3:
        tls["minProtocolVersion"] = rng.choice(("TLSV1_2", "TLSV1_3", "TLS_AUTO"))
        tls["cipherSuites"] = ["ECDHE-RSA-AES128-GCM-SHA256", "nonsense", "AES128-SHA"]
    if "credentialName" in tls and rng.random() < 0.3:
        tls |= {"verifyCertificateSpki": ["abc="], "verifyCertificateHash": ["aa" * 32]}
    return tls


def _virtual_service(rng: random.Random, name: str) -> dict[str, Any]:
    bound = [f"{rng.choice(NAMESPACES)}/{gateway}" for gateway in GATEWAYS]
    hosts = rng.choice(RULED)
    spec: dict[str, Any] = {"hosts": hosts, "gateways": bound}
    if rng.random() < 0.3:
        spec["exportTo"] = rng.choice((["."], ["*"], ["istio-system"]))
    if rng.random() < 0.8:
        spec["http"] = [_http(rng, number) for number in range(rng.randint(1, 3))]
    if "http" not in spec or rng.random() < 0.4:
        spec["tcp"] = [{"route": _weighted(rng)}]
        if rng.random() < 0.5:
            spec["tcp"][0]["match"] = [{"port": rng.choice((9000, 443, 80))}]
    if rng.random() < 0.5:
        match = {"sniHosts": _some(rng, hosts)} | rng.choice(({}, {"port": 443}, {"gateways": [bound[0]]}))
        spec["tls"] = [{"match": [match], "route": _weighted(rng)}]
    return _object(rng, "VirtualService", name, rng.choice(NAMESPACES), spec)


def _http(rng: random.Random, number: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": f"r{number}"}
    if rng.random() < 0.7:
        rule["match"] = [
            rng.choice(
                (
                    {"uri": {"prefix": "/"}},
                    {"uri": {"exact": "/a"}},
                    {"uri": {"prefix": "/b"}},
                    {"uri": {"regex": ".*"}},
                    {"port": 80},
                    {"port": 443, "uri": {"prefix": "/c"}},
                    {"headers": {"x": {"exact": "1"}}},
                )
            )
        ]
    if rng.random() < 0.2:
        rule["redirect"] = {"authority": "other.example.com"} | rng.choice(({}, {"derivePort": "FROM_REQUEST_PORT"}))
    else:
        rule["route"] = _weighted(rng)
    return rule


def _weighted(rng: random.Random) -> list[dict[str, Any]]:
    names = _some(rng, SERVICES, 1, 2)
    items: list[dict[str, Any]] = [{"destination": {"host": name}} for name in names]
    for item in items:
        if rng.random() < 0.5:
            item["destination"]["port"] = {"number": rng.choice((80, 443, 9090))}
        if len(items) > 1:
            item["weight"] = rng.choice((0, 30, 70)) if item is not items[0] else 30
    return items
