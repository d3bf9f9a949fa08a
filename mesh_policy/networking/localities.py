"""Balancing by where hosts are: locality (``REGION/ZONE/SUBZONE``) and zone."""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, model_validator

from mesh_policy.base import Flag, Model, Unsigned, Whole

TOPOLOGY = ("topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone")
"""Labels that say where a host is."""
Share = Annotated[Whole, Field(ge=1, le=100)]


class LocalityDistribute(Model):
    """Shares of the traffic of one locality, by locality, in percent that sum to 100."""

    from_: str | None = None
    """Locality of the clients, perhaps with ``*`` at its end."""
    to: dict[str, Share] | None = None
    """Localities of the hosts, perhaps with ``*`` at their ends, and the share of each, 1 to 100."""

    @model_validator(mode="after")
    def _sum(self) -> Self:
        shares = self.to or {}
        if sum(shares.values()) != 100:
            raise ValueError(f"to: the shares sum to {sum(shares.values())}, they must sum to 100")
        _check_apart("to", shares)
        return self


class LocalityFailover(Model):
    """Where the traffic of a region goes when it has no healthy host."""

    from_: str | None = None
    """Region of the clients."""
    to: str | None = None
    """Region of the hosts that take over."""

    @model_validator(mode="after")
    def _elsewhere(self) -> Self:
        if (self.from_ or "") == (self.to or ""):
            raise ValueError("from and to must differ")
        for region in (self.from_ or "", self.to or ""):
            if "/" in region or "*" in region:
                raise ValueError(f"{region!r} is no region; zones fail over by themselves, and `*` is not allowed")
        return self


class LocalityLbSetting(Model):
    """Balancing by locality. ``distribute`` and ``failover`` exclude each other."""

    distribute: tuple[LocalityDistribute, ...] | None = None
    """Shares by the client's locality; one that is not listed goes to the nearest hosts."""
    failover: tuple[LocalityFailover, ...] | None = None
    """Which region takes over; goes with outlier detection, without which nothing is ever unhealthy."""
    failover_priority: tuple[str, ...] | None = None
    """Labels that hosts and client should share, most important first; a host with more of them is nearer."""
    enabled: Flag | None = None
    """Whether this is in force; default as the mesh says."""

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        if self.distribute and self.failover:
            raise ValueError("distribute and failover exclude each other; keep one")
        topology = [label for label in self.failover_priority or () if label in TOPOLOGY]
        if self.failover and topology:
            raise ValueError(f"failoverPriority: {topology[0]} excludes failover; keep one")
        _check_apart("distribute", [item.from_ or "" for item in self.distribute or ()])
        return self


class ZoneAwareLbSetting(Model):
    """Balancing by zone: a client's own zone first."""

    enabled: Flag | None = None
    """Whether this is in force; default yes where the setting stands."""
    failover: tuple[LocalityFailover, ...] | None = None
    """Which region takes over."""
    failover_priority: tuple[str, ...] | None = None
    """Labels as in :class:`LocalityLbSetting`; those of the topology go without saying and are refused."""
    min_cluster_size: Annotated[Unsigned, Field(ge=1)] | None = None
    """Fewest hosts with which zones are looked at; default 6."""

    @model_validator(mode="after")
    def _labels(self) -> Self:
        topology = [label for label in self.failover_priority or () if label in TOPOLOGY]
        if topology:
            raise ValueError(f"failoverPriority: {topology[0]} goes without saying; remove it")
        return self


def _check_apart(field: str, localities: Iterable[str]) -> None:
    """Refuses localities that are not well formed, or of which one holds another."""
    seen: list[tuple[str, ...]] = []
    for locality in localities:
        if "*" in locality[:-1]:
            raise ValueError(f"{field}: {locality!r}: `*` stands only at the end")
        parts = tuple(locality.split("/", 2))
        if not all(parts):
            raise ValueError(
                f"{field}: {locality!r} has an empty part; write REGION, REGION/ZONE or REGION/ZONE/SUBZONE"
            )
        for other in seen:
            if _overlap(other, parts):
                raise ValueError(f"{field}: {locality!r} overlaps {'/'.join(other)!r}; keep one")
        seen.append(parts)


def _overlap(before: tuple[str, ...], after: tuple[str, ...]) -> bool:
    """As Istio sees it: a shorter locality and what begins with it, in either order, and ``*`` and what comes after it."""
    if before[-1] == "*" and before[:-1] == after[: len(before) - 1]:
        return True
    shorter = min(len(before), len(after))
    return before[:shorter] == after[:shorter]
