"""Which Secrets, and which ConfigMaps with roots, policies name: those, one by one, are all that is read of them. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from mesh_control.services import Workload
from mesh_control.sources.kubernetes.reflector import Key
from mesh_control.sources.kubernetes.resources import Collection
from mesh_policy import DestinationRule, Gateway, Policy
from mesh_policy.gateway_api.gateway import Gateway as ListenerGateway

ROOTS_OF = "-cacert"
"""Ending of the Secret with the authorities that belongs to the one with a certificate (Istio)."""
_CONFIG_MAP = "configmap://"
_IN_CLUSTER = ("kubernetes://", "kubernetes-gateway://")


def wanted(policies: Iterable[Policy], workloads: Sequence[Workload]) -> frozenset[Key]:
    """Namespace and name of each Secret that is named.

    Where no namespace is named, a Gateway's is that of the pods that it selects, as Istio has it, and a DestinationRule's its
    own.
    """
    return frozenset(key for policy in policies for key in _of(policy, workloads))


def config_maps(policies: Iterable[Policy]) -> frozenset[Key]:
    """Namespace and name of each ConfigMap that is named, with roots by which a peer is checked. A name must have its
    namespace (Istio's ``configmap://NAMESPACE/NAME``)."""
    return frozenset(key for policy in policies for key in _maps_of(policy))


def _maps_of(policy: Policy) -> Iterator[Key]:
    if isinstance(policy, ListenerGateway):
        yield from _authorities(policy, "ConfigMap")
        return
    names: Iterable[str] = ()
    if isinstance(policy, Gateway):
        names = (n for server in policy.spec.servers or () if server.tls is not None for n in _served(server.tls))
    elif isinstance(policy, DestinationRule):
        names = _called(policy)
    for name in names:
        namespace, slash, plain = name.removeprefix(_CONFIG_MAP).partition("/")
        if name.startswith(_CONFIG_MAP) and slash and namespace and plain:
            yield namespace, plain.removesuffix(ROOTS_OF)


def _authorities(gateway: ListenerGateway, kind: str) -> Iterator[Key]:
    """What a Gateway of the Gateway API checks its clients with."""
    frontend = gateway.spec.tls.frontend if gateway.spec.tls is not None else None
    if frontend is None:
        return
    for config in (frontend.default, *(item.tls for item in frontend.per_port or ())):
        for reference in config.validation.ca_certificate_refs if config.validation is not None else ():
            if reference.kind == kind:
                yield reference.namespace or gateway.metadata.namespace, reference.name


def _of(policy: Policy, workloads: Sequence[Workload]) -> Iterator[Key]:
    if isinstance(policy, ListenerGateway):
        yield from _referred(policy)
        yield from _authorities(policy, "Secret")
        return
    if isinstance(policy, Gateway):
        names = [name for server in policy.spec.servers or () if server.tls is not None for name in _served(server.tls)]
        selector = (policy.spec.selector or {}).items()
        places = {w.namespace for w in workloads if selector <= w.labels.items()} if names else set()
    elif isinstance(policy, DestinationRule):
        names, places = list(_called(policy)), {policy.metadata.namespace}
    else:
        return
    for name in names:
        yield from _located(name, places)


def _located(name: str, places: Iterable[str]) -> Iterator[Key]:
    """A name as a policy writes it: with a kind before it, with a namespace, or plain."""
    prefix = next((prefix for prefix in _IN_CLUSTER if name.startswith(prefix)), "")
    if "://" in name and not prefix:
        return  # the proxy's own certificate, a file, a ConfigMap: no Secret
    namespace, slash, plain = name.removeprefix(prefix).rpartition("/")
    for place in (namespace,) if slash else places:
        for ending in ("", ROOTS_OF):
            yield place, f"{plain.removesuffix(ROOTS_OF)}{ending}"


def _served(tls: object) -> Iterator[str]:
    for name in (getattr(tls, "credential_name", None), getattr(tls, "ca_cert_credential_name", None)):
        if name:
            yield name
    yield from getattr(tls, "credential_names", None) or ()


def _called(rule: DestinationRule) -> Iterator[str]:
    policies = [rule.spec.traffic_policy, *(subset.traffic_policy for subset in rule.spec.subsets or ())]
    for policy in policies:
        if policy is not None:
            own = [policy.tls, *(port.tls for port in policy.port_level_settings or ())]
            yield from (tls.credential_name for tls in own if tls is not None and tls.credential_name)


def _referred(gateway: ListenerGateway) -> Iterator[Key]:
    for listener in gateway.spec.listeners or ():
        for reference in (listener.tls.certificate_refs if listener.tls is not None else None) or ():
            if (reference.kind or "Secret") == "Secret":
                yield reference.namespace or gateway.metadata.namespace, reference.name


def collections(keys: Iterable[Key], maps: Iterable[Key] = ()) -> Iterator[Collection]:
    """Each Secret and ConfigMap as a collection of its own, by its name: a role can give the right to read that one."""
    for namespace, name in sorted(keys):
        yield Collection("", "v1", "secrets", "Secret", True, namespace, f"metadata.name={name}")
    for namespace, name in sorted(maps):
        yield Collection("", "v1", "configmaps", "ConfigMap", True, namespace, f"metadata.name={name}")
