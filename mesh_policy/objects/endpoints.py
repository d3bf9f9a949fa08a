"""Who serves a Service, told by the cluster: EndpointSlice (``discovery.k8s.io/v1``) and the older Endpoints (``v1``)."""

from collections.abc import Iterator
from dataclasses import dataclass

from mesh_policy.objects.metadata import Meta, read_meta
from mesh_policy.objects.reading import Fields, ObjectError

SERVICE_NAME = "kubernetes.io/service-name"
"""Label of a slice: the service that it is of."""
IMPORTED = "multicluster.kubernetes.io/service-name"
"""Label of a slice that another cluster's service brought (MCS): it is not one of the service of its name."""


@dataclass(frozen=True, slots=True)
class EndpointPort:
    """A port of every endpoint of a slice, by the name of the service's port; ``number`` 0 stands for all ports."""

    name: str
    number: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint. What is not said is ``None``. ``pod`` is the name of the pod behind it, where it names one."""

    addresses: tuple[str, ...]
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None
    pod: str = ""
    namespace: str = ""
    node: str = ""
    zone: str = ""
    zones_hinted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    """A part of a service's endpoints. ``service`` is its name; empty where the slice is of none."""

    meta: Meta
    service: str
    address_type: str = "IPv4"
    ports: tuple[EndpointPort, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()


def read_endpoint_slice(fields: Fields) -> EndpointSlice:
    """An EndpointSlice."""
    meta = read_meta(fields)
    return EndpointSlice(
        meta,
        "" if IMPORTED in meta.labels else meta.labels.get(SERVICE_NAME, ""),
        fields.text("addressType", "IPv4"),
        tuple(EndpointPort(port.text("name"), port.whole("port") or 0) for port in fields.items("ports")),
        tuple(_endpoint(item, meta.namespace) for item in fields.items("endpoints")),
    )


def _endpoint(item: Fields, namespace: str) -> Endpoint:
    conditions, target = item.inner("conditions"), item.inner("targetRef")
    is_pod = target.text("kind") == "Pod"
    return Endpoint(
        _texts(item, "addresses"),
        _flag(conditions, "ready"),
        _flag(conditions, "serving"),
        _flag(conditions, "terminating"),
        target.text("name") if is_pod else "",
        (target.text("namespace") or namespace) if is_pod else "",
        item.text("nodeName"),
        item.text("zone"),
        tuple(zone.text("name") for zone in item.inner("hints").items("forZones")),
    )


def read_endpoints(fields: Fields) -> EndpointSlice:
    """Endpoints, of the service of their name, as the slice that a cluster would mirror them to."""
    meta = read_meta(fields)
    subsets = list(fields.items("subsets"))
    ports = {port: None for subset in subsets for port in _ports(subset)}
    endpoints = [
        Endpoint((address.text("ip"),), ready, ready, False, *_pod(address, meta.namespace), address.text("nodeName"))
        for subset in subsets
        for name, ready in (("addresses", True), ("notReadyAddresses", False))
        for address in subset.items(name)
    ]
    return EndpointSlice(meta, meta.name, "IPv4", tuple(ports), tuple(endpoints))


def _ports(subset: Fields) -> Iterator[EndpointPort]:
    for port in subset.items("ports"):
        yield EndpointPort(port.text("name"), port.port("port"))


def _pod(address: Fields, namespace: str) -> tuple[str, str]:
    target = address.inner("targetRef")
    if target.text("kind") != "Pod":
        return "", ""
    return target.text("name"), target.text("namespace") or namespace


def _flag(fields: Fields, name: str) -> bool | None:
    return fields.flag(name) if fields.has(name) else None


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.values.get(name) or []
    if not isinstance(value, list):
        raise ObjectError((*fields.path, name), "must be a list")
    return tuple(map(str, value))
