"""ProxyConfig: how a proxy itself is run."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from mesh_policy.base import Count, Model, Policy
from mesh_policy.selectors import WorkloadSelector


class ProxyImage(Model):
    """Image of the proxy."""

    image_type: str | None = None
    """``default``, ``debug`` or ``distroless``; default as the mesh says."""


class ProxyConfigSpec(Model):
    """Settings of the proxies that ``selector`` chooses; those of a namespace and of the mesh stand behind them."""

    selector: WorkloadSelector | None = None
    """Workloads of the namespace; unset means all of it, and of the mesh in the root namespace."""
    concurrency: Count | None = None
    """Worker threads; 0 means one for each core, default as the mesh says."""
    environment_variables: dict[str, Annotated[str, StringConstraints(max_length=2048)]] | None = None
    """Environment of the proxy, at most 2048 characters each."""
    image: ProxyImage | None = None
    """Image of the proxy."""


class ProxyConfig(Policy):
    """See :class:`ProxyConfigSpec`. Istio serves this kind as ``v1beta1`` alone."""

    KIND: ClassVar[str] = "ProxyConfig"
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1beta1",)
    kind: Literal["ProxyConfig"] = "ProxyConfig"
    spec: ProxyConfigSpec = Field(default_factory=ProxyConfigSpec)
