"""What every policy kind is made of."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints, field_validator


def _number(value: object) -> object:
    """Kubernetes takes neither text nor yes and no for a number; ``50.0``, as some tools write, is 50."""
    if isinstance(value, bool | str):
        hint = "; write it without quotes" if isinstance(value, str) and value.strip().isdecimal() else ""
        raise ValueError(f"must be a whole number, not {value!r}{hint}")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
"""Name of an object: lower case letters, digits, dashes and dots, at most 253."""
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A namespace is a label of DNS names: it holds no dot."""
Whole = Annotated[int, BeforeValidator(_number)]
"""A whole number."""
Flag = Annotated[bool, Strict()]
"""``true`` or ``false``, never text."""
Number = Annotated[float, Strict()]
"""A number, perhaps with decimals, never text."""
Port = Annotated[Whole, Field(ge=1, le=65535)]
Percent = Annotated[Whole, Field(ge=0, le=100)]
Count = Annotated[Whole, Field(ge=0, le=2**31 - 1)]
"""A number as protobuf's ``int32`` holds it."""
Unsigned = Annotated[Whole, Field(ge=0, le=2**32 - 1)]
"""A number as protobuf's ``uint32`` holds it."""
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
    namespace: Namespace = "default"
    labels: Labels | None = None
    annotations: Labels | None = None
    creation_timestamp: datetime | None = None

    @field_validator("namespace", mode="before")
    @classmethod
    def _default(cls, value: object) -> object:
        """Kubernetes reads an empty field as one that is not there."""
        return "default" if value in (None, "") else value

    @field_validator("creation_timestamp")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        """In one time zone, so that ages can be compared; one without is UTC, as Kubernetes writes it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Policy(Model):
    """One object: apiVersion, kind, metadata, spec. The kinds are its subclasses, listed in :data:`mesh_policy.KINDS`.

    A subclass says its ``GROUP``, its ``KIND``, and its ``VERSIONS``, of which the first is written and all are read.
    """

    GROUP: ClassVar[str] = "networking.istio.io"
    KIND: ClassVar[str] = ""
    VERSIONS: ClassVar[tuple[str, ...]] = ("v1", "v1beta1", "v1alpha3")

    api_version: str = Field(default="", validate_default=True)
    kind: str
    metadata: Metadata
    spec: Any

    @field_validator("api_version")
    @classmethod
    def _of_this_group(cls, value: str) -> str:
        """Whichever version was read, one is written."""
        group, _, version = value.rpartition("/")
        if value and (group != cls.GROUP or version not in cls.VERSIONS):
            raise ValueError(f"{value!r} has no {cls.KIND}; write {cls.written_version()}")
        return cls.written_version()

    @classmethod
    def written_version(cls) -> str:
        """The apiVersion that is written."""
        return f"{cls.GROUP}/{cls.VERSIONS[0]}"

    @classmethod
    def title(cls) -> str:
        """The kind, with its group where another has one of that name: ``Gateway.gateway.networking.k8s.io``."""
        return cls.KIND

    @property
    def key(self) -> tuple[str, str, str]:
        """Title of the kind, namespace, name: no two objects of a mesh have the same."""
        return self.title(), self.metadata.namespace, self.metadata.name

    @classmethod
    def of(cls, name: str, spec: BaseModel | Mapping[str, Any], namespace: str = "default") -> Self:
        """A policy with that name and spec."""
        return cls(kind=cls.KIND, metadata=Metadata(name=name, namespace=namespace), spec=spec)

    def to_document(self) -> dict[str, Any]:
        """The object as plain values, in the order in which people write them."""
        metadata = self.metadata.to_yaml_value()
        return {
            "apiVersion": self.written_version(),
            "kind": self.kind,
            "metadata": metadata,
            "spec": self.spec.to_yaml_value(),
        }
