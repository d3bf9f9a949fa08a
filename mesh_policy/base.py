"""What every policy kind is made of."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

API_GROUP = "networking.istio.io"
VERSIONS = ("v1", "v1beta1", "v1alpha3")
"""apiVersions that are read; the first is written."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Percent = Annotated[int, Field(ge=0, le=100)]
Labels = dict[str, str]


def camel(name: str) -> str:
    """``consecutive_5xx_errors`` to ``consecutive5xxErrors``; a trailing underscore, put for Python's sake, goes."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class Model(BaseModel):
    """A part of a policy: frozen, strict about unknown fields, camel case in YAML, snake case in Python.

    ``None`` means "unset"; what is unset is not written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=camel, populate_by_name=True)

    def to_yaml_value(self) -> dict[str, Any]:
        """The part as plain values in the form of its YAML, without what was never set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Metadata(Model):
    """Identity of an object. Unknown fields (Kubernetes adds many) are kept out."""

    model_config = ConfigDict(extra="ignore", frozen=True, alias_generator=camel, populate_by_name=True)

    name: Name
    namespace: Name = "default"
    labels: Labels | None = None
    annotations: Labels | None = None
    creation_timestamp: datetime | None = None


class Policy(Model):
    """One object: apiVersion, kind, metadata, spec. The kinds are its subclasses, listed in :data:`mesh_policy.KINDS`."""

    KIND: ClassVar[str] = ""

    api_version: Literal["networking.istio.io/v1"] = "networking.istio.io/v1"
    kind: str
    metadata: Metadata
    spec: Any

    @property
    def key(self) -> tuple[str, str, str]:
        """Kind, namespace, name."""
        return self.kind, self.metadata.namespace, self.metadata.name

    @classmethod
    def of(cls, name: str, spec: BaseModel | Mapping[str, Any], namespace: str = "default") -> Self:
        """A policy with that name and spec."""
        return cls(kind=cls.KIND, metadata=Metadata(name=name, namespace=namespace), spec=spec)

    def to_document(self) -> dict[str, Any]:
        """The object as plain values, in the order in which people write them."""
        metadata = self.metadata.to_yaml_value()
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": metadata,
            "spec": self.spec.to_yaml_value(),
        }
