"""What every policy kind is made of."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints, field_validator


def _number(value: object) -> object:
    """Kubernetes takes neither text nor yes and no for a number; ``50.0``, as some tools write, is 50."""
    if value is None:
        raise ValueError("must be a whole number, not nothing")
    if isinstance(value, bool | str):
        hint = "; write it without quotes" if isinstance(value, str) and value.strip().isdecimal() else ""
        raise ValueError(f"must be a whole number, not {value!r}{hint}")
    return value


Name = Annotated[
    str, StringConstraints(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
]
"""Name of an object: lower case letters, digits, dashes, and dots between such words; at most 253."""
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
Signed = Annotated[Whole, Field(ge=-(2**31), le=2**31 - 1)]
"""A number as protobuf's ``int32`` holds it, where Istio refuses none."""
Labels = dict[str, str]


def camel(name: str) -> str:
    """``consecutive_5xx_errors`` to ``consecutive5xxErrors``; a trailing underscore, put for Python's sake, goes."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class Model(BaseModel):
    """A part of a policy: frozen, strict about unknown fields, camel case in YAML, snake case in Python.

    ``None`` means "unset"; what is unset is not written.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=camel, populate_by_name=True, defer_build=True
    )

    def to_yaml_value(self) -> dict[str, Any]:
        """The part as plain values in the form of its YAML, without what was never set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


_KEY = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]"
)
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key) or len(key.rpartition("/")[0]) > 253:
        raise ValueError(
            f"{key!r} is no key; write NAME or DOMAIN/NAME, the name with at most 63 letters, digits, - _ and dots"
        )


class Metadata(Model):
    """Identity of an object. Unknown fields (Kubernetes adds many) are kept out."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=camel, populate_by_name=True, defer_build=True
    )

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

    @field_validator("labels")
    @classmethod
    def _labels(cls, value: Labels | None) -> Labels | None:
        for key, label in (value or {}).items():
            _check_key(key)
            if not _LABEL.fullmatch(label):
                raise ValueError(
                    f"{key}: {label!r} is no value of a label; at most 63 letters, digits, - _ and dots are allowed"
                )
        return value

    @field_validator("annotations")
    @classmethod
    def _annotations(cls, value: Labels | None) -> Labels | None:
        for key in value or {}:
            _check_key(key.lower())  # their domains may have capitals
        return value

    @field_validator("creation_timestamp")
    @classmethod
    def _in_utc(cls, value: datetime | None) -> datetime | None:
        """In one time zone, so that ages can be compared; one without is UTC, as Kubernetes writes it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


RESERVED_ANNOTATIONS = (
    "internal.istio.io/webhook-always-reject",
    "internal.istio.io/parent-namespace",
    "internal.istio.io/parents",
)
"""Annotations with which Istio's own parts talk to each other: on objects of Istio's groups its webhook refuses them."""
DRY_RUN = "istio.io/dry-run"
"""Annotation of AuthorizationPolicies alone."""
YAML_NAMES = {"by_name": False}
"""Context of a validation that takes YAML's names only, for validators that begin one of their own."""


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

    @field_validator("metadata")
    @classmethod
    def _annotated(cls, value: Metadata) -> Metadata:
        """Annotations that Istio's webhook refuses."""
        refused = (*RESERVED_ANNOTATIONS, *((DRY_RUN,) if cls.KIND != "AuthorizationPolicy" else ()))
        for name in value.annotations or {}:
            if cls.GROUP.endswith(".istio.io") and name in refused:
                raise ValueError(f"annotations: {name} is not allowed here; remove it")
        return value

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

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Self:
        """A policy of a document: fields have the names of YAML, and Python's are unknown, as they are to Kubernetes."""
        return cls.model_validate(content, by_alias=True, by_name=False, context=YAML_NAMES)

    def to_document(self) -> dict[str, Any]:
        """The object as plain values, in the order in which people write them."""
        metadata = self.metadata.to_yaml_value()
        return {
            "apiVersion": self.written_version(),
            "kind": self.kind,
            "metadata": metadata,
            "spec": self.spec.to_yaml_value(),
        }
