"""What a proxy that registers its workload says of itself, and the WorkloadEntry that is made of it and its WorkloadGroup.

Pure. The rules are istiod's (``pilot/pkg/autoregistration/controller.go``: ``autoregisteredWorkloadEntryName``,
``workloadEntryFromGroup``, ``ensureProxyCanControlEntry``); where it would register something that cannot be honoured,
the proxy is refused with the reason.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from mesh_api.node import Node
from mesh_control import validate
from mesh_control.proxies import ProxyError
from mesh_control.registration.proof import JoinProof
from mesh_policy import WorkloadEntry, WorkloadGroup
from mesh_policy.base import Metadata
from mesh_policy.networking.workload_entry import WorkloadEntrySpec

GROUP_ANNOTATION = "istio.io/autoRegistrationGroup"
HEALTH_ANNOTATION = "proxy.istio.io/health-checks-enabled"
LOCALITY_LABEL = "istio-locality"
"""A node's label that says what :attr:`Claim.locality` says, in a form that labels take."""
LONGEST = 253
"""Characters of the name of an object. Of a longer one the end is kept, which tells the machines of a group apart."""


class RegistrationError(ProxyError):
    """A workload that cannot be registered; the message names what is wrong and where to mend it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A proxy's wish to be one of the ``group``. ``probed``: it probes its application, and tells when it is healthy."""

    group: str
    namespace: str
    address: str
    proxy: str
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    locality: str = ""
    probed: bool = False

    @property
    def name(self) -> str:
        """Name of the entry: the same for whoever comes from the same address, so that it is taken over after a restart."""
        parts = [self.group, self.address.replace(":", "-"), *((self.network,) if self.network else ())]
        return "-".join(parts)[-LONGEST:]

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of the entry."""
        return self.namespace, self.name

    @property
    def group_key(self) -> tuple[str, str]:
        """Namespace and name of the group."""
        return self.namespace, self.group


def claim_of(node: Node) -> Claim | None:
    """What the node claims; ``None`` for one that names no group. Raises :class:`RegistrationError`."""
    group = node.metadata.get("AUTO_REGISTER_GROUP")
    if not group:
        return None
    try:
        identity = node.parsed_id()
    except ValueError as error:
        raise RegistrationError(str(error)) from None
    namespace = _text(node.metadata, "NAMESPACE") or identity.namespace
    if namespace != identity.namespace:
        raise RegistrationError(
            f"node metadata NAMESPACE {namespace!r} is not that of the node id, {identity.namespace}"
        )
    labels = node.metadata.get("LABELS", {})
    if not isinstance(labels, Mapping):
        raise RegistrationError(f"node metadata LABELS must be a mapping, not {labels!r}")
    config = node.metadata.get("PROXY_CONFIG", {})
    return Claim(
        group=_text(node.metadata, "AUTO_REGISTER_GROUP"),
        namespace=namespace,
        address=_address(node, identity.address),
        proxy=f"{identity.name}.{identity.namespace}",
        labels={str(key): str(value) for key, value in sorted(labels.items()) if key != LOCALITY_LABEL},
        network=_text(node.metadata, "NETWORK"),
        locality=_locality(node),
        probed=isinstance(config, Mapping) and bool(config.get("readinessProbe")),
    )


def _text(metadata: Mapping[str, Any], name: str) -> str:
    value = metadata.get(name, "")
    if not isinstance(value, str):
        raise RegistrationError(f"node metadata {name} must be text, not {value!r}")
    return value


def _address(node: Node, own: str) -> str:
    """The first of ``INSTANCE_IPS`` (a list or joined by commas), else the node id's: where others reach the workload."""
    given = node.metadata.get("INSTANCE_IPS", "")
    addresses = [part.strip() for part in given.split(",")] if isinstance(given, str) else list(map(str, given))
    address = next((a for a in addresses if a), own)
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise RegistrationError(f"node metadata INSTANCE_IPS: {address!r} is no IP address") from None


def _locality(node: Node) -> str:
    """``REGION/ZONE/SUBZONE``, up to the first that is empty."""
    parts: list[str] = []
    for part in (node.region, node.zone, node.sub_zone):
        if not part:
            break
        parts.append(part)
    return "/".join(parts)


def entry_of(claim: Claim, group: WorkloadGroup | None, proof: JoinProof | None) -> WorkloadEntry:
    """The entry that the claim gets. Raises :class:`RegistrationError`: no such group, no such right, no such entry."""
    if group is None:
        raise RegistrationError(
            f"node metadata AUTO_REGISTER_GROUP: there is no WorkloadGroup {claim.namespace}/{claim.group}; apply one first"
        )
    _check_proof(claim, group, proof)
    template = group.spec.template
    given = group.spec.metadata
    labels = {**(template.labels or {}), **((given and given.labels) or {}), **claim.labels}
    annotations = {**((given and given.annotations) or {}), GROUP_ANNOTATION: claim.group}
    if claim.probed:
        annotations[HEALTH_ANNOTATION] = "true"
    values = template.model_dump(exclude_none=True) | {"address": claim.address, "labels": labels}
    values |= {name: value for name in ("network", "locality") if (value := getattr(claim, name))}
    try:
        metadata = Metadata(name=claim.name, namespace=claim.namespace, labels=labels, annotations=annotations)
        entry = WorkloadEntry(kind="WorkloadEntry", metadata=metadata, spec=WorkloadEntrySpec(**values))
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise RegistrationError(
            f"{claim.namespace}/{claim.name} would be no WorkloadEntry: {'; '.join(lines)}"
        ) from None
    if refused := validate.unsupported(entry):
        raise RegistrationError(f"{claim.namespace}/{claim.name} cannot be honoured: {'; '.join(map(str, refused))}")
    return entry


def _check_proof(claim: Claim, group: WorkloadGroup, proof: JoinProof | None) -> None:
    """Fail closed: who registers takes the traffic of a service."""
    account = group.spec.template.service_account or ""
    if proof is None or not proof.covers(claim.namespace, account):
        wanted = (
            f"service account {account} of namespace {claim.namespace}" if account else f"namespace {claim.namespace}"
        )
        raise RegistrationError(
            f"registration with WorkloadGroup {claim.namespace}/{claim.group} asks for an identity of {wanted}; proven is "
            f"{proof if proof is not None else 'none'}"
        )
