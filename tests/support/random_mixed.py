"""Random worlds with everything at once: those of the other generators in one mesh, with names, networks and workloads that
lead from one to another. A seed always gives one world."""

from collections.abc import Callable, Iterator
from typing import Any

import yaml

from tests.support import (
    random_clusters,
    random_filters,
    random_gateway_api,
    random_gateways,
    random_inbound,
    random_outbound,
)
from tests.support.dice import Dice
from tests.support.istio_compiler import Asker

PARTS: tuple[Callable[[int], str], ...] = (
    random_outbound.world,
    random_outbound.world,
    random_clusters.world,
    random_gateways.world,
    random_filters.world,
    random_inbound.world,
    random_gateway_api.world,
)
MESHES: tuple[Callable[[int], str], ...] = (random_filters.mesh, random_inbound.mesh, random_clusters.mesh)
NAMESPACES = ("default", "shop", "edge", "istio-system")
NETWORKS = ("", "", "one", "two")
TARGETS = (
    "a.example.com", "a.shop.svc.cluster.local", "b.example", "web.default.svc.cluster.local", "nowhere.example.org",
    "name-0.default.svc.cluster.local", "out.example.org", "cart.shop.svc.cluster.local",
)  # fmt: skip
Document = dict[str, Any]


def world(seed: int) -> str:
    """Objects as YAML; of two of one kind and name the first one stays."""
    dice = Dice(seed)
    found: dict[tuple[str, str, str], Document] = {}
    for number, part in enumerate(dice.some(PARTS, 2, 4)):
        text = part(seed * 7 + number).replace("10.96.", f"10.{90 + number}.")  # an address is of one service
        for document in yaml.safe_load_all(text):
            _put(found, document)
    for document in _own(dice):
        _put(found, document)
    return yaml.safe_dump_all(found.values(), sort_keys=False)


def _put(found: dict[tuple[str, str, str], Document], document: Document | None) -> None:
    if document:
        metadata = document["metadata"]
        if document["kind"] == "ServiceEntry":  # no two of one age: which of those counts istiod leaves open
            day = metadata.get("creationTimestamp", "2026-02-01")[:10]
            metadata["creationTimestamp"] = f"{day}T00:{len(found) // 60:02}:{len(found) % 60:02}Z"
        found.setdefault((document["kind"], metadata.get("namespace", "default"), metadata["name"]), document)


def mesh(seed: int) -> str:
    """Settings of the mesh as YAML."""
    dice = Dice(seed)
    found: Document = {}
    for number, make in enumerate(dice.some(MESHES, 0, 2)):
        found |= yaml.safe_load(make(seed + number)) or {}
    found.setdefault("accessLogFile", "/dev/stdout")
    found.setdefault("enableTracing", False)
    if dice.maybe(0.3):
        found["outboundTrafficPolicy"] = {"mode": dice.one(["ALLOW_ANY", "REGISTRY_ONLY", "ALLOW_ANY_DYNAMIC_DNS"])}
    return yaml.safe_dump(found)


def askers(seed: int) -> list[Asker]:
    """Three sidecars and three gateways."""
    dice = Dice(seed)
    found = []
    for number, (name, namespace) in enumerate((("client", "default"), ("cart", "shop"), ("web", "default")), start=1):
        metadata = {"LABELS": {"app": name, "version": "v1", "team": "a"}, "NAMESPACE": namespace} | _said(dice)
        found.append(Asker(f"sidecar~10.1.0.{number}~{name}-1.{namespace}~{namespace}.svc.cluster.local", metadata))
    for number, labels in enumerate(({"istio": "ingressgateway"}, {"istio": "ingressgateway"}, {"gateway": "yes"})):
        # Not those of sidecars: istiod gives gateways what it has once made for a sidecar of their namespace.
        namespace = ("istio-system", "infra", "edge")[number]
        metadata = {"LABELS": labels, "NAMESPACE": namespace} | _said(dice)
        found.append(Asker(f"router~10.1.9.{number}~edge-1.{namespace}~{namespace}.svc.cluster.local", metadata))
    return found


def _said(dice: Dice) -> Document:
    said = dice.fields(
        0.3,
        CLUSTER_ID="Kubernetes",
        NETWORK=dice.one(["one", "two"]),
        NODE_NAME="n1",
        DNS_CAPTURE="true",
        INTERCEPTION_MODE=dice.one(["REDIRECT", "TPROXY", "NONE"]),
        HTTP10="1",
        IDLE_TIMEOUT="30s",
        UNPRIVILEGED_POD="true",
    )
    if dice.maybe(0.1):
        said["INSTANCE_IPS"] = dice.one(["2001:2::7", "10.1.0.7,2001:2::7"])
    return said


def _own(dice: Dice) -> Iterator[Document]:
    for number in range(dice.random.randint(0, 3)):
        yield _alias(dice, number)
    for number in range(dice.random.randint(0, 2)):
        yield _named(dice, number)
    for number in range(dice.random.randint(0, 2)):
        yield _network(dice, number)
    for number in range(dice.random.randint(0, 3)):
        yield from _pods(dice, number)
    for number in range(dice.random.randint(0, 2)):
        yield _led(dice, number)


def _alias(dice: Dice, number: int) -> Document:
    ports = [{"name": name, "port": port} for name, port in dice.some([("http", 80), ("tcp", 5432), ("x", 9090)], 0, 3)]
    spec = {"type": "ExternalName", "externalName": dice.one(TARGETS), "ports": ports}
    metadata = {"name": f"name-{number}", "namespace": dice.one(["default", "shop"])}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _istio(kind: str, name: str, namespace: str, spec: Document) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _named(dice: Dice, number: int) -> Document:
    known = [("http", 80, "HTTP"), ("tls", 443, "TLS"), ("grpc", 9090, "GRPC"), ("h2", 8080, "HTTP2")]
    ports = [{"name": name, "number": port, "protocol": protocol} for name, port, protocol in dice.some(known, 1, 4)]
    spec = {
        "hosts": [dice.one(["*.example.com", "*.d.example.com", "*.dyn.example.org"])],
        "location": dice.one(["MESH_EXTERNAL", "MESH_INTERNAL"]),
        "resolution": "DYNAMIC_DNS",
        "ports": ports,
    } | dice.fields(0.2, exportTo=["."])
    return _istio("ServiceEntry", f"named-{number}", dice.one(NAMESPACES), spec)


def _network(dice: Dice, number: int) -> Document:
    labels = {"topology.istio.io/network": dice.one(["one", "two"])}
    ports = [{"name": "tls", "port": 15443, "targetPort": 15443}]
    spec = {"type": "LoadBalancer", "clusterIP": f"10.250.0.{number + 1}", "ports": ports}
    ingress = [{"ip": f"203.0.113.{number * 3 + extra + 1}"} for extra in range(dice.random.randint(1, 3))]
    metadata = {"name": f"between-{number}", "namespace": "istio-system", "labels": labels}
    status = {"loadBalancer": {"ingress": ingress}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": status}


def _pods(dice: Dice, number: int) -> Iterator[Document]:
    """A Service of Kubernetes with its pods and the slice that lists them."""
    name, namespace = f"pods-{number}", dice.one(["default", "shop"])
    app = dice.one([name, "cart", "web"])
    wanted = [("http", 80), ("tcp-x", 5432), ("grpc", 9090), ("x", 3306)]
    ports = [{"name": port, "port": where, "targetPort": where + 1} for port, where in dice.some(wanted, 1, 3)]
    spec: Document = {
        "clusterIP": dice.one([f"10.240.0.{number + 1}", "None"]),
        "ports": ports,
        "selector": {"app": app},
    }
    spec |= dice.fields(
        0.2,
        internalTrafficPolicy="Local",
        trafficDistribution=dice.one(["PreferClose", "PreferSameZone", "PreferSameNode"]),
        publishNotReadyAddresses=True,
    )
    metadata: Document = {"name": name, "namespace": namespace}
    annotations = dice.fields(
        0.15,
        **{
            "networking.istio.io/exportTo": dice.one([".", "~", "shop", "*"]),
            "networking.istio.io/traffic-distribution": "PreferClose",
            "alpha.istio.io/kubernetes-serviceaccounts": "other",
            "alpha.istio.io/canonical-serviceaccounts": "spiffe://elsewhere/ns/a/sa/b",
        },
    )
    if annotations:
        metadata["annotations"] = annotations
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}
    endpoints = []
    for place in range(dice.random.randint(0, 3)):
        address, pod = f"10.9.{number}.{place + 1}", f"{name}-{place}"
        labels = {"app": app, "version": dice.one(["v1", "v2"])}
        labels |= dice.fields(0.5, **{"security.istio.io/tlsMode": "istio"})
        labels |= dice.fields(0.3, **{"topology.istio.io/network": dice.one(["one", "two"])})
        labels |= dice.fields(0.2, **{"topology.istio.io/locality": dice.one(["r1.z1.s1", "r2.z2"])})
        ready = dice.maybe(0.8)
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "namespace": namespace, "labels": labels},
            "spec": {"serviceAccountName": dice.one(["default", "cart"]), "nodeName": dice.one(["n1", "n2"])},
            "status": {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": str(ready)}],
            },
        }
        target = {"kind": "Pod", "name": pod, "namespace": namespace}
        # None that ends: how istiod reads it depends on which object comes to it first.
        conditions = {"ready": ready, "serving": ready or dice.maybe(), "terminating": False}
        endpoints.append({"addresses": [address], "conditions": conditions, "targetRef": target})
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-a", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": port["name"], "port": port["targetPort"]} for port in ports],
        "endpoints": endpoints,
    }


def _led(dice: Dice, number: int) -> Document:
    """Rules that lead from one part of the mesh to another."""

    def destination() -> Document:
        host = dice.one([*TARGETS, "name-0", "name-1.shop.svc.cluster.local", "pods-0.default.svc.cluster.local"])
        found: Document = {
            "destination": {"host": host} | dice.fields(0.5, port={"number": dice.one([80, 9090, 5432])})
        }
        return found

    gateways = dice.one([None, ["mesh"], ["istio-system/one", "mesh"]])
    spec: Document = {
        "hosts": dice.some(
            ["name-0", "pods-0", dice.one(["led.example.com", "*.example.com"]), "*.dyn.example.org"], 1, 2
        ),
        "http": [{"match": [{"uri": {"prefix": "/x"}}], "route": [destination()]}, {"route": [destination()]}],
    }
    if gateways:
        spec["gateways"] = gateways
    if dice.maybe(0.3):
        spec["tcp"] = [{"route": [destination()]}]
    return _istio("VirtualService", f"led-{number}", dice.one(["default", "shop"]), spec)
