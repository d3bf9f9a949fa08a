"""A finding, and the objects that findings are about."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from mesh_policy.analysis.codes import CODES, Level
from mesh_policy.base import Policy
from mesh_policy.objects import Object, Workload
from mesh_policy.positions import Document, Path

K = TypeVar("K", bound=tuple[str, ...] | str)
T = TypeVar("T", bound=Policy | Object)
T_co = TypeVar("T_co", bound=Policy | Object, covariant=True)


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: its code, the object (``KIND NAMESPACE/NAME``), the field, what is wrong and how to mend it.

    ``source`` and ``line`` (from 1) say where, for objects that were read from files; else they are empty and 0.
    """

    code: str
    level: Level
    subject: str
    field: str
    message: str
    source: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.subject}: {self.field}" if self.field else self.subject
        return f"{self.level.name.lower()} {self.code} {place}: {self.message}"

    def located(self) -> str:
        """The finding in one line, with file and line as compilers write them."""
        where = f"{self.source}:{self.line}: " if self.line else f"{self.source}: " if self.source else ""
        return where + str(self)

    @property
    def kind(self) -> str:
        """Kind of the object."""
        return self.subject.partition(" ")[0]

    @property
    def namespace(self) -> str:
        """Namespace of the object; empty for a kind without."""
        return self.subject.partition(" ")[2].rpartition("/")[0]

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.subject.rpartition("/")[2] if "/" in self.subject else self.subject.partition(" ")[2]


@dataclass(frozen=True, slots=True, eq=False)
class Placed(Generic[T_co]):
    """An object and where it stands; without ``document`` it was not read from a file."""

    value: T_co
    source: str = ""
    document: Document | None = None
    name: str = field(init=False)
    """Name of the object."""
    namespace: str = field(init=False)
    """Namespace of the object; empty for a kind without."""

    def __post_init__(self) -> None:
        # Asked for again and again: every reference is read from its object's namespace.
        value: Policy | Object = self.value
        identity = value.metadata if isinstance(value, Policy) else value.meta
        object.__setattr__(self, "name", identity.name)
        object.__setattr__(self, "namespace", identity.namespace)

    def line(self, path: Path = ()) -> int:
        """The line of a field, by its path in YAML's names."""
        return self.document.line(path) if self.document is not None else 0

    @property
    def labels(self) -> Mapping[str, str]:
        """Labels of the object."""
        value: Policy | Object = self.value
        return (value.metadata.labels or {}) if isinstance(value, Policy) else value.meta.labels

    @property
    def annotations(self) -> Mapping[str, str]:
        """Annotations of the object."""
        value: Policy | Object = self.value
        return (value.metadata.annotations or {}) if isinstance(value, Policy) else value.meta.annotations

    @property
    def kind(self) -> str:
        """Kind of the object, with its group where two groups have one of that name."""
        value: Policy | Object = self.value
        if isinstance(value, Policy):
            return value.title()
        return value.kind if isinstance(value, Workload) else type(value).__name__

    @property
    def subject(self) -> str:
        """``KIND NAMESPACE/NAME``."""
        return f"{self.kind} {self.full_name}"

    @property
    def full_name(self) -> str:
        """``NAMESPACE/NAME``."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def subject(policy: Policy) -> str:
    """``KIND NAMESPACE/NAME``."""
    return f"{policy.title()} {policy.metadata.namespace}/{policy.metadata.name}"


def found(code: str, at: Placed[Policy | Object], path: Path, message: str) -> Finding:
    """A finding about a field of an object, by its path in YAML's names."""
    return Finding(code, CODES[code].level, at.subject, dotted(path), message, at.source, at.line(path))


def rivals(groups: Mapping[K, Sequence[Placed[T]]]) -> Iterator[tuple[K, Placed[T], str]]:
    """Of groups of objects of which one counts each: every object that is not alone in its group, with the group and the
    names of the others, once for the same others."""
    told: set[tuple[str, str]] = set()
    for group, placed in sorted(groups.items(), key=lambda item: item[0]):
        for one in placed if len(placed) > 1 else ():
            others = ", ".join(sorted(other.name for other in placed if other is not one))
            if (one.full_name, others) not in told:
                told.add((one.full_name, others))
                yield group, one, others


def dotted(path: Path) -> str:
    """``spec.http[0].timeout``; a key that holds dots itself stands in brackets."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif "." in part or "/" in part:
            text += f'["{part}"]'
        else:
            text += f".{part}" if text else part
    return text
