"""How a host is chosen."""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mesh_policy.base import Flag, Model, Number, Whole
from mesh_policy.durations import AtLeastMillisecond, Duration, PositiveDuration
from mesh_policy.networking.localities import LocalityLbSetting, ZoneAwareLbSetting

Size = Annotated[Whole, Field(ge=0, le=2**63 - 1)]
LARGEST_TABLE = 5_000_011
"""Envoy's limit of Maglev's table."""


class HttpCookieAttribute(Model):
    """An attribute of the cookie that is set."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the attribute, once in a cookie."""
    value: str | None = None
    """Its value; unset for one without."""


class HttpCookie(Model):
    """A cookie to hash."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the cookie."""
    path: str | None = None
    """Path of a cookie that is set."""
    ttl: Duration | None = None
    """How long a cookie lives that the proxy sets where there is none; unset: none is set; 0: for the session."""
    attributes: tuple[HttpCookieAttribute, ...] | None = None
    """Attributes of a cookie that is set."""

    @model_validator(mode="after")
    def _unique(self) -> Self:
        names = [attribute.name for attribute in self.attributes or ()]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"attributes: {name!r} stands twice")
        return self


class RingHash(Model):
    """Ring hash."""

    minimum_ring_size: Size | None = None
    """Fewest points on the ring; default 1024."""


class Maglev(Model):
    """Maglev hash."""

    table_size: Size | None = None
    """Size of the table: a prime below 5000011; required, and usually 65537."""

    @model_validator(mode="after")
    def _prime(self) -> Self:
        if self.table_size is None or self.table_size >= LARGEST_TABLE or not is_prime(self.table_size):
            raise ValueError(f"tableSize must be a prime number below {LARGEST_TABLE}, for example 65537")
        return self


def is_prime(number: int) -> bool:
    """As Envoy counts, to which 1 is a prime."""
    if number < 4:
        return number > 0
    return number % 2 == 1 and all(number % factor for factor in range(3, math.isqrt(number) + 1, 2))


class ConsistentHash(Model):
    """What decides the host: at most one of a header, a cookie, the source address or a query parameter."""

    http_header_name: str | None = None
    """Header whose value is hashed."""
    http_cookie: HttpCookie | None = None
    """Cookie whose value is hashed."""
    use_source_ip: Flag | None = None
    """Hashes the client's address; also for TCP."""
    http_query_parameter_name: str | None = None
    """Query parameter whose value is hashed."""
    ring_hash: RingHash | None = None
    """Hosts stand on a ring (default)."""
    maglev: Maglev | None = None
    """Hosts stand in a table."""
    minimum_ring_size: Size | None = None
    """The old place of ``ring_hash.minimum_ring_size``; Istio warns of it."""

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        keys = {
            "httpHeaderName": self.http_header_name,
            "httpCookie": self.http_cookie,
            "useSourceIp": self.use_source_ip,
            "httpQueryParameterName": self.http_query_parameter_name,
        }
        for choices in (keys, {"ringHash": self.ring_hash, "maglev": self.maglev}):
            chosen = [name for name, value in choices.items() if value is not None]
            if len(chosen) > 1:
                raise ValueError(f"{' and '.join(chosen)} exclude each other; keep one")
        if self.minimum_ring_size and (self.ring_hash is not None or self.maglev is not None):
            raise ValueError("minimumRingSize excludes ringHash and maglev; write ringHash.minimumRingSize")
        return self

    @property
    def has_key(self) -> bool:
        """Whether anything is hashed at all; Istio takes a hash of nothing, which spreads requests at random."""
        return bool(self.http_header_name or self.http_cookie or self.use_source_ip or self.http_query_parameter_name)


class Warmup(Model):
    """Ramp-up of new hosts."""

    duration: PositiveDuration
    """How long a new host gets less than its share."""
    minimum_percent: Annotated[Number, Field(ge=0, le=100)] | None = None
    """Share that it begins with, in percent; default 10."""
    aggression: Annotated[Number, Field(gt=0)] | None = None
    """1 (default) rises in a line, more rises earlier."""


class LoadBalancer(Model):
    """How a host is chosen: ``simple`` or ``consistent_hash``; by locality besides."""

    simple: Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] | None = None
    """One at a time; default LEAST_REQUEST (LEAST_CONN is its old name). PASSTHROUGH keeps the client's address."""
    consistent_hash: ConsistentHash | None = None
    """The same host for the same key."""
    locality_lb_setting: LocalityLbSetting | None = None
    """Balancing by locality; excludes ``zone_aware_lb_setting``."""
    zone_aware_lb_setting: ZoneAwareLbSetting | None = None
    """Balancing by zone."""
    warmup_duration_secs: AtLeastMillisecond | None = None
    """The old place of ``warmup.duration``."""
    warmup: Warmup | None = None
    """Ramp-up of new hosts."""

    @model_validator(mode="after")
    def _exclusive(self) -> Self:
        if self.simple is not None and self.consistent_hash is not None:
            raise ValueError("simple and consistentHash exclude each other; keep one")
        if self.locality_lb_setting is not None and self.zone_aware_lb_setting is not None:
            raise ValueError("localityLbSetting and zoneAwareLbSetting exclude each other; keep one")
        return self
