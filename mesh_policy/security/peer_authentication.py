"""PeerAuthentication: whether connections to a workload must be mutual TLS (Istio, ``security.istio.io/v1``)."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from mesh_policy.base import Model, Policy
from mesh_policy.selectors import WorkloadSelector

Mode = Literal["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]


class MutualTls(Model):
    """What connections must be."""

    mode: Mode | None = None
    """STRICT takes mutual TLS only, PERMISSIVE plain text as well, DISABLE plain text only; UNSET (default) inherits: from
    the workload, the namespace, the mesh, in this order, and PERMISSIVE where nothing says more."""


def _port(value: str) -> str:
    if not value.isascii() or not value.isdecimal() or not 1 <= int(value) <= 65535:
        raise ValueError(
            f'{value!r} is no port of the workload; write a number from 1 to 65535 in quotes, as in "8080"'
        )
    return value


PortText = Annotated[str, AfterValidator(_port)]


class PeerAuthenticationSpec(Model):
    """The mode of workloads, and exceptions by port.

    Without a selector it is the namespace's, in the root namespace the mesh's. Of several for one scope the oldest counts.
    """

    selector: WorkloadSelector | None = None
    """Workloads by their labels; unset means the whole namespace, in the root namespace the whole mesh."""
    mtls: MutualTls | None = None
    """The mode of every port; unset inherits."""
    port_level_mtls: Annotated[dict[PortText, MutualTls], Field(min_length=1)] | None = None
    """Mode by port of the workload (not of the service); only together with a selector."""

    @model_validator(mode="after")
    def _selected(self) -> Self:
        if self.port_level_mtls and not (self.selector is not None and self.selector.match_labels):
            raise ValueError("portLevelMtls needs a selector; give matchLabels, or set mtls.mode for all ports")
        return self


class PeerAuthentication(Policy):
    """See :class:`PeerAuthenticationSpec`."""

    GROUP: ClassVar[str] = "security.istio.io"
    KIND: ClassVar[str] = "PeerAuthentication"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")
    kind: Literal["PeerAuthentication"] = "PeerAuthentication"
    spec: PeerAuthenticationSpec = Field(default_factory=PeerAuthenticationSpec)
