"""What the kinds of the Gateway API have in common."""

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from pydantic import field_validator, model_validator

from mesh_policy.base import Policy
from mesh_policy.gateway_api.refusals import Refusal, refuse

GROUP = "gateway.networking.k8s.io"


class GatewayApiPolicy(Policy):
    """An object of the Gateway API."""

    GROUP: ClassVar[str] = GROUP
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1beta1")


class StricterThanAlpha(GatewayApiPolicy):
    """A kind whose v1 refuses what its v1alpha2 takes.

    An object of v1alpha2 that v1 would refuse stays one when it is written; every other is written as v1.
    """

    @field_validator("api_version")
    @classmethod
    def _of_this_group(cls, value: str) -> str:
        written = super()._of_this_group(value)
        return value if value == cls.alpha_version() else written

    @classmethod
    def alpha_version(cls) -> str:
        """The apiVersion with fewer rules."""
        return f"{cls.GROUP}/v1alpha2"

    def refused_by_v1(self) -> Iterable[Refusal]:
        """What v1 has against this object, and v1alpha2 has not."""
        raise NotImplementedError

    @model_validator(mode="after")
    def _in_its_version(self) -> Self:
        refusals = list(self.refused_by_v1())
        if self.api_version != self.alpha_version():
            refuse(self, refusals)
        elif not refusals:
            object.__setattr__(self, "api_version", self.written_version())  # frozen, and not yet given out
        return self

    def to_document(self) -> dict[str, Any]:
        """The object as plain values, in the version that takes it."""
        return super().to_document() | {"apiVersion": self.api_version}
