"""Where traffic goes: a service, perhaps one subset and port of it, and a share."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from mesh_policy.base import Count, Model, Port
from mesh_policy.hosts import Host, is_label


class PortSelector(Model):
    """A port by number."""

    number: Port
    """Number of the service's port."""


def _destination_host(value: str) -> str:
    if value == "*":
        raise ValueError("host `*` is no destination; name a service")
    return value


def _subset_or_unset(value: str) -> str:
    if value and not is_label(value):
        raise ValueError(f"{value!r} is no name of a subset; allowed are letters, digits and dashes, at most 63")
    return value


class Destination(Model):
    """A service (short names are of the policy's namespace), perhaps one subset and port of it."""

    host: Annotated[Host, AfterValidator(_destination_host)]
    """Name of the service."""
    subset: Annotated[str, AfterValidator(_subset_or_unset)] | None = None
    """Subset of a DestinationRule for the host; unset means all of it."""
    port: PortSelector | None = None
    """Port of the service; may be left out where it has one."""


class WeightedDestination(Model):
    """One destination of a TCP or TLS route."""

    destination: Destination
    """Where connections go."""
    weight: Count | None = None
    """Share, relative to the sum of all; unset counts as 100 for a single one, else 0."""


def wrong_weights(weights: Sequence[int | None]) -> list[str]:
    """What is wrong with the weights of the destinations of one route."""
    if len(weights) > 1 and not any(weights):
        return ["the weights of several destinations must not all be 0; give them a weight"]
    return []


def _weighted(value: tuple[WeightedDestination, ...]) -> tuple[WeightedDestination, ...]:
    for problem in wrong_weights([item.weight for item in value]):
        raise ValueError(problem)
    return value


WeightedDestinations = Annotated[tuple[WeightedDestination, ...], Field(min_length=1), AfterValidator(_weighted)]
"""Destinations of which at least one has a weight."""
