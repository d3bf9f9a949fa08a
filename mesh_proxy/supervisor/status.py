"""How the proxy stands with its control plane, in words that keep apart what must not be confused. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from mesh_api.xds.type_urls import SHORT_NAMES


class Standing(Enum):
    """One at a time, the most pressing first.

    Whatever it is, the configuration in force stays in force; only ``WAITING`` before the first one means "not ready".
    """

    STATIC = "static"
    """The bootstrap names no control plane."""
    UNREACHABLE = "unreachable"
    """There is no stream to the control plane."""
    INVALID = "invalid"
    """The control plane sent something that cannot be honoured."""
    WAITING = "waiting"
    """Something is still to come before the newest configuration is complete."""
    NO_POLICY = "no policy"
    """The control plane has nothing for this proxy."""
    CURRENT = "current"
    """The newest configuration is in force."""


@dataclass(frozen=True, slots=True)
class Status:
    """A :class:`Standing` and, for people, why. ``in_force``: whether the workers run some configuration."""

    standing: Standing
    reason: str = ""
    in_force: bool = False

    def __str__(self) -> str:
        text = self.standing.value + (f": {self.reason}" if self.reason else "")
        return text if self.in_force else f"{text} (no configuration in force)"


@dataclass(frozen=True, slots=True)
class Facts:
    """What a :class:`Status` is made of. ``errors`` by type URL; ``lost`` is why the last stream ended."""

    controlled: bool
    connected: bool
    lost: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    informed: bool = False
    has_policy: bool = False
    in_force: bool = False
    refused: str = ""
    """Why the workers refuse the bootstrap's own, or an earlier run's, configuration."""


def status_of(facts: Facts) -> Status:
    """The status that follows from ``facts``."""
    if not facts.controlled:
        standing = Standing.INVALID if facts.refused else Standing.STATIC
        return Status(standing, facts.refused, facts.in_force)
    if not facts.connected:
        return Status(Standing.UNREACHABLE, facts.lost, facts.in_force)
    if facts.errors or facts.refused:
        findings = [f"{SHORT_NAMES[type_url]}: {reason}" for type_url, reason in facts.errors.items()]
        return Status(Standing.INVALID, "; ".join(findings) or facts.refused, facts.in_force)
    if facts.missing or not facts.informed:
        return Status(Standing.WAITING, ", ".join(facts.missing), facts.in_force)
    return Status(Standing.CURRENT if facts.has_policy else Standing.NO_POLICY, "", facts.in_force)
