"""Parts of a cluster's hosts that requests can be sent to (Envoy ``Cluster.LbSubsetConfig``)."""

from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
"""Metadata that balancing looks at (the namespace ``envoy.lb``): pairs sorted by key, each value as compact JSON, so that
the number 1 and the string "1" are different things."""


@dataclass(frozen=True, slots=True)
class SubsetSelector:
    """Hosts that have all of ``keys`` are divided by the values of these.

    ``fallback`` is what becomes of a request for a subset that is not there, where these very keys are asked for:
    ``NOT_DEFINED`` (what the whole says), ``NO_FALLBACK``, ``ANY_ENDPOINT``, ``DEFAULT_SUBSET``, or ``KEYS_SUBSET``: asked
    again with only ``fallback_keys``. ``single_host``: of hosts with the same values only one counts.
    """

    keys: tuple[str, ...]
    fallback: str = "NOT_DEFINED"
    fallback_keys: tuple[str, ...] = ()
    single_host: bool = False


@dataclass(frozen=True, slots=True)
class Subsets:
    """``fallback`` is ``NO_FALLBACK``, ``ANY_ENDPOINT`` or ``DEFAULT_SUBSET`` (of hosts with the labels ``default_subset``).

    ``panic_mode_any``: any host where even the fallback has none. ``list_as_any``: a label that is a list stands for each of
    its items. ``locality_weight_aware``: localities keep their weights inside of a subset, and with
    ``scale_locality_weight`` in proportion to the hosts that are left.
    """

    selectors: tuple[SubsetSelector, ...] = ()
    fallback: str = "NO_FALLBACK"
    default_subset: Labels = ()
    locality_weight_aware: bool = False
    scale_locality_weight: bool = False
    panic_mode_any: bool = False
    list_as_any: bool = False
