"""Under which names a client asks for a service: the domains of its virtual host (``generateVirtualHostDomains``)."""

from collections.abc import Iterable, Iterator

from mesh_control.services import Service
from mesh_policy.hosts import CLUSTER_DOMAIN, is_address

SUFFIX = f".{CLUSTER_DOMAIN}"


def of_service(service: Service, namespace: str, addresses: Iterable[str], port: int = 0) -> tuple[str, ...]:
    """Every name of a service and of its aliases in clients of a namespace, and its ``addresses``; with ``port`` each of them
    with it, too."""
    found = [
        name
        for host in (service.hostname, *(alias for alias, _ in service.aliases))
        for name in (host, *short_forms(host, namespace))
    ]
    if service.headless:
        found += [f"*.{name}" for name in found]  # each of its pods by name
    return tuple(dict.fromkeys(_with_port((*found, *addresses), port)))


def short_forms(host: str, namespace: str) -> list[str]:
    """The other forms of a host name: with the dot that ends a full one, and in Kubernetes, from another or from the same
    namespace, for short."""
    found = [] if is_address(host) else [f"{host}."]
    if not host.endswith(SUFFIX):
        return found
    base = host.removesuffix(SUFFIX)
    name, dot, owner = base.partition(".")
    if not dot:
        return found
    return [*found, *([name] if owner == namespace else []), base, f"{base}.svc"]


def of_host(host: str, port: int = 0) -> tuple[str, ...]:
    """The domains of a host that only a VirtualService names."""
    return tuple(_with_port((host,), port))


def _with_port(names: Iterable[str], port: int) -> Iterator[str]:
    for name in names:
        # In a Host field an address of IPv6 stands in brackets.
        written = f"[{name}]" if ":" in name else name
        yield written
        if port:
            yield f"{written}:{port}"
