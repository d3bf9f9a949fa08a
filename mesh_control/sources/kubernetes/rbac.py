"""The rights that the control plane needs in a cluster, and no more, as objects. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mesh_control.injection.manifest import CONFIGURATION as INJECTION
from mesh_control.rollouts.entries import NAME as RELEASES
from mesh_control.rollouts.replicas import NAME as REPLICAS
from mesh_control.sources.kubernetes.last_good import NAME as LAST_GOOD
from mesh_control.sources.kubernetes.resources import CORE, DEFINITIONS, plural_of
from mesh_control.sources.kubernetes.root_maps import NAME as ROOT_MAP
from mesh_policy import KINDS
from mesh_policy.gateway_api.kind import GROUP as GATEWAY_API
from mesh_policy.unsupported import NEVER

LEASE = "meshwright-control"
"""Name of the lease by which the replicas choose a leader."""
CA_SECRET, GIVEN_CA = "istio-ca-secret", "cacerts"
"""Names of Istio's for the Secret with the authority of all replicas, and for one that an operator gives."""
WEBHOOKS, CONFIGURATION = "admissionregistration.k8s.io", "meshwright-validation"
"""The object by which the API server asks the webhook (:mod:`mesh_control.webhook.manifest`)."""
READ = ["get", "list", "watch"]
Value = dict[str, Any]


def service_account(name: str, namespace: str) -> Value:
    """Whom roles are bound to: the account that the control plane's pods run as."""
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def manifests(
    subject: Mapping[str, Any],
    namespace: str,
    name: str = LEASE,
    mesh_config: str | None = None,
    ca_secret: str | None = CA_SECRET,
) -> Iterator[Value]:
    """The roles and their bindings. ``subject`` is whom they are bound to, ``namespace`` the one that the lease stands in;
    ``mesh_config`` is ``NAMESPACE/NAME`` of the ConfigMap that the control plane's setting of that name has. ``ca_secret``
    is the Secret in that namespace with the authority of all replicas; ``None``: each has its own."""
    rbac = "rbac.authorization.k8s.io"
    roles: list[tuple[str, Value, list[Value]]] = [
        ("ClusterRole", {"name": name}, cluster_rules()),
        ("Role", {"name": name, "namespace": namespace}, [*lease_rules(name), *shared_rules()]),
    ]
    if ca_secret is not None:
        roles.append(("Role", {"name": f"{name}-ca", "namespace": namespace}, authority_rules(ca_secret)))
    if mesh_config is not None:
        place, _, config = mesh_config.partition("/")
        roles.append(("Role", {"name": f"{name}-mesh-config", "namespace": place}, mesh_config_rules(config)))
    for kind, metadata, rules in roles:
        yield {"apiVersion": f"{rbac}/v1", "kind": kind, "metadata": metadata, "rules": rules}
        role = {"apiGroup": rbac, "kind": kind, "name": metadata["name"]}
        binding = {"apiVersion": f"{rbac}/v1", "kind": f"{kind}Binding", "metadata": metadata}
        yield {**binding, "roleRef": role, "subjects": [dict(subject)]}


def cluster_rules() -> list[Value]:
    """Reading what is mirrored; writing the status of policies, never a policy; making our GatewayClass; the roots of the
    webhook's certificate; the ConfigMap with the mesh's roots in each namespace, where to make one cannot be narrowed down to
    a name; telling events; asking whose a token is, and who may list Secrets. No secrets."""
    groups: dict[str, list[str]] = {}
    for collection in (*CORE, DEFINITIONS):
        groups.setdefault(collection.group, []).append(collection.plural)
    policies: dict[str, list[str]] = {}
    for kind in KINDS.values():
        policies.setdefault(kind.GROUP, []).append(plural_of(kind))
    for (group, _), (plural, _) in NEVER.items():
        policies.setdefault(group, []).append(plural)
    told = {group: plurals for group, plurals in policies.items() if group.endswith(".istio.io")}
    told[GATEWAY_API] = [plural for plural in policies[GATEWAY_API] if plural != "referencegrants"]
    return [
        *(_rule(group, sorted(plurals), READ) for group, plurals in sorted({**groups, **policies}.items())),
        *(
            _rule(group, sorted(f"{plural}/status" for plural in plurals), ["patch"])
            for group, plurals in sorted(told.items())
        ),
        _rule(GATEWAY_API, ["gatewayclasses"], ["create"]),
        *(
            {**_rule(WEBHOOKS, [plural], ["get", "patch"]), "resourceNames": [name]}
            for plural, name in (
                ("validatingwebhookconfigurations", CONFIGURATION),
                ("mutatingwebhookconfigurations", INJECTION),
            )
        ),
        _rule("", ["events"], ["create"]),
        _rule("", ["configmaps"], ["create"]),
        {**_rule("", ["configmaps"], [*READ, "patch"]), "resourceNames": [ROOT_MAP]},
        _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
        _rule("authorization.k8s.io", ["subjectaccessreviews"], ["create"]),
    ]


def lease_rules(name: str) -> list[Value]:
    """The lease of that name; to make one cannot be narrowed down to a name."""
    group, plural = "coordination.k8s.io", ["leases"]
    return [_rule(group, plural, ["create"]), {**_rule(group, plural, ["get", "update"]), "resourceNames": [name]}]


def shared_rules() -> list[Value]:
    """The ConfigMaps with what broken policies said before, with the releases, and with what replicas tell each other of
    their proxies; to make one cannot be narrowed down to a name."""
    names = [LAST_GOOD, RELEASES, REPLICAS]
    kept = {**_rule("", ["configmaps"], [*READ, "patch"]), "resourceNames": names}
    return [_rule("", ["configmaps"], ["create"]), kept]


def authority_rules(name: str) -> list[Value]:
    """The Secret with the authority of all replicas, and to read the one that an operator gives; to make one cannot be
    narrowed down to a name."""
    kept = {**_rule("", ["secrets"], ["get", "update", "patch"]), "resourceNames": [name]}
    read = {**_rule("", ["secrets"], ["get"]), "resourceNames": [GIVEN_CA]}
    return [_rule("", ["secrets"], ["create"]), kept, read]


def secret_rules(names: Sequence[str]) -> list[Value]:
    """The Secrets of those names, in the namespace of a role of its own: what Gateways and DestinationRules name."""
    return [{**_rule("", ["secrets"], READ), "resourceNames": list(names)}]


def config_map_rules(names: Sequence[str]) -> list[Value]:
    """The ConfigMaps of those names, as :func:`secret_rules`: with the roots that policies name as ``configmap://``."""
    return [{**_rule("", ["configmaps"], READ), "resourceNames": list(names)}]


def mesh_config_rules(name: str) -> list[Value]:
    """The ConfigMap with the settings of the mesh, in the namespace of a role of its own."""
    return [{**_rule("", ["configmaps"], READ), "resourceNames": [name]}]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Value:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}
