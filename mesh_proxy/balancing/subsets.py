"""Subsets of hosts by their labels (Envoy ``SubsetLoadBalancer``; docs: "Load Balancer Subsets")."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Final

from mesh_api.config import Cluster
from mesh_api.config.load_balancing import Labels, Subsets, SubsetSelector
from mesh_proxy.balancing.balancer import Balancer, Members, Random
from mesh_proxy.balancing.context import PickContext
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.host_set import Locality
from mesh_proxy.telemetry.stats import Counters

Make = Callable[[Cluster, Members, Random, Counters], Balancer]
_NO_SUBSETS: Final = Subsets()


class Subset(Balancer):
    """A balancer for each subset that requests ask for, made when the first does."""

    __slots__ = ("_any", "_balancers", "_default", "_groups", "_make", "_selectors", "_subsets")

    def __init__(self, config: Cluster, members: Members, random: Random, counters: Counters, make: Make) -> None:
        super().__init__(config, members, random, counters)
        self._make = make
        self._subsets: Subsets = config.subsets or _NO_SUBSETS
        self._selectors: dict[tuple[str, ...], SubsetSelector] = {}
        self._groups: dict[Labels, list[Host]] = {}
        self._balancers: dict[Labels, Balancer] = {}
        self._any: Balancer | None = None
        self._default: Balancer | None = None

    def rebuild(self, now: float) -> None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`."""
        subsets = self._subsets = self.config.subsets or _NO_SUBSETS
        self._selectors = {}
        for selector in subsets.selectors:
            self._selectors.setdefault(tuple(sorted(selector.keys)), selector)
        before, self._groups = self._groups, {}
        for host in self.members.hosts:
            for selector in subsets.selectors:
                self._sort_in(host, selector)
        self.counters.add("lb_subsets_created", len(self._groups.keys() - before.keys()))
        self.counters.add("lb_subsets_removed", len(before.keys() - self._groups.keys()))
        # Their own rounds go on: they are given the hosts as they are now.
        for labels in [labels for labels in self._balancers if labels not in self._groups]:
            del self._balancers[labels]
        for labels, balancer in self._balancers.items():
            balancer.replace(self.config, self._members(self._groups[labels]))
        if self._any is not None:
            self._any.replace(self.config, self.members)
        self._default = None

    def active(self) -> int:
        """How many subsets there are (Envoy ``lb_subsets_active``)."""
        return len(self._groups)

    def _sort_in(self, host: Host, selector: SubsetSelector) -> None:
        for labels in _labels_of(host, sorted(selector.keys), self._subsets.list_as_any):
            group = self._groups.setdefault(labels, [])
            if selector.single_host and group:
                self.counters.add("lb_subsets_single_host_per_subset_duplicate")
            elif host not in group:
                group.append(host)

    def choose(self, context: PickContext, attempt: int) -> Host | None:
        """See :class:`~mesh_proxy.balancing.balancer.Balancer`."""
        return self._for_labels(context.labels, context, attempt)

    def _for_labels(self, labels: Labels, context: PickContext, attempt: int) -> Host | None:
        if labels in self._groups:
            self.counters.add("lb_subsets_selected")
            return self._of(self._subset(labels), context, attempt)
        selector = self._selectors.get(tuple(key for key, _ in labels))
        policy = self._subsets.fallback if selector is None or selector.fallback == "NOT_DEFINED" else selector.fallback
        if selector is not None and selector.fallback != "NOT_DEFINED":
            if policy == "KEYS_SUBSET":
                fewer = tuple(label for label in labels if label[0] in selector.fallback_keys)
                return self._for_labels(fewer, context, attempt)
            return self._fallback(policy, context, attempt)
        host = self._fallback(policy, context, attempt)
        if host is not None:
            self.counters.add("lb_subsets_fallback")
        elif self._subsets.panic_mode_any and policy != "NO_FALLBACK":
            host = self._fallback("ANY_ENDPOINT", context, attempt)
            if host is not None:
                self.counters.add("lb_subsets_fallback_panic")
        return host

    def _fallback(self, policy: str, context: PickContext, attempt: int) -> Host | None:
        if policy == "ANY_ENDPOINT":
            if self._any is None:
                self._any = self._make(self.config, self.members, self.random, self.counters)
            return self._of(self._any, context, attempt)
        if policy == "DEFAULT_SUBSET":
            if self._default is None:
                wanted, lists = self._subsets.default_subset, self._subsets.list_as_any
                hosts = [host for host in self.members.hosts if _has(host, wanted, lists)]
                self._default = self._make(self.config, self._members(hosts), self.random, self.counters)
            return self._of(self._default, context, attempt)
        return None

    @staticmethod
    def _of(balancer: Balancer, context: PickContext, attempt: int) -> Host | None:
        balancer.prepare(context.now)
        return balancer.choose(context, attempt)

    def _subset(self, labels: Labels) -> Balancer:
        found = self._balancers.get(labels)
        if found is None:
            members = self._members(self._groups[labels])
            found = self._balancers[labels] = self._make(self.config, members, self.random, self.counters)
        return found

    def _members(self, hosts: Sequence[Host]) -> Members:
        """Localities keep their weights only if they are asked for, and then by the hosts that are left, if so."""
        weights: dict[tuple[int, Locality], int] = {}
        if self._subsets.locality_weight_aware:
            for place, weight in self.members.weights.items():
                if self._subsets.scale_locality_weight:
                    every = sum(1 for host in self.members.hosts if (host.priority, host.locality) == place)
                    some = sum(1 for host in hosts if (host.priority, host.locality) == place)
                    weight = max(1, round(weight * some / every)) if some else 0
                weights[place] = weight
        return self.members.among(hosts, weights)


def _labels_of(host: Host, keys: Sequence[str], list_as_any: bool) -> Iterator[Labels]:
    """The labels of a host under these keys, one for each item of those that are lists; nothing where one is missing."""
    found = dict(host.endpoint.lb_metadata) if host.endpoint is not None else {}
    if not keys or not all(key in found for key in keys):
        return
    for values in product(*(_values(found[key], list_as_any) for key in keys)):
        yield tuple(zip(keys, values, strict=True))


def _values(value: str, list_as_any: bool) -> list[str]:
    if not list_as_any or not value.startswith("["):
        return [value]
    return [json.dumps(item, separators=(",", ":"), sort_keys=True) for item in json.loads(value)]


def _has(host: Host, wanted: Labels, list_as_any: bool) -> bool:
    found = dict(host.endpoint.lb_metadata) if host.endpoint is not None else {}
    return all(key in found and value in _values(found[key], list_as_any) for key, value in wanted)
