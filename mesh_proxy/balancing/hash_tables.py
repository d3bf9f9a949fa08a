"""Ring and Maglev tables: the same host for the same key as Envoy's, for the same hosts and settings.

A table is built when the first key is looked up, and holds numbers of hosts: 2 bytes an entry of Maglev (128 KiB for
Envoy's 65,537), 10 an entry of a ring.
"""

import math
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

from mesh_api.config import RingHashConfig
from mesh_proxy.balancing.host import Host
from mesh_proxy.balancing.host_set import HostSet
from mesh_proxy.balancing.murmur import murmurhash2
from mesh_proxy.routing.hashing import xxhash64

_MASK: Final = (1 << 64) - 1
_HASH_KEY: Final = "hash_key"


class HashTable:
    """Hosts by key."""

    __slots__ = ("hosts", "weights")

    def __init__(self, hosts: Sequence[Host], weights: Sequence[float]) -> None:
        """``weights`` are shares, whose sum is 1."""
        self.hosts: tuple[Host, ...] = tuple(hosts)
        self.weights: tuple[float, ...] = tuple(weights)

    def place(self, key: int, attempt: int) -> int:
        """The number of the host for a key of 64 bits; ``attempt`` counts choices before that were rejected."""
        raise NotImplementedError


class Ring(HashTable):
    """Ketama: each host at as many places of a ring as its share says; a key goes to the next place.

    Envoy ``RingHashLoadBalancer::Ring``.
    """

    __slots__ = ("_owners", "_places")

    def __init__(
        self, hosts: Sequence[Host], weights: Sequence[float], config: RingHashConfig, by_hostname: bool
    ) -> None:
        super().__init__(hosts, weights)
        least = min(weights)
        scale = min(math.ceil(least * config.minimum_ring_size) / least, float(config.maximum_ring_size))
        murmur = config.hash_function == "MURMUR_HASH_2"
        made: list[tuple[int, int]] = []
        current = target = 0.0
        for number, (host, weight) in enumerate(zip(hosts, weights, strict=True)):
            beginning = hash_key(host, by_hostname) + b"_"
            # Running sums: shares need not be whole numbers of places.
            target += scale * weight
            count = 0
            while current < target:
                text = beginning + b"%d" % count
                made.append((murmurhash2(text) if murmur else xxhash64(text), number))
                count += 1
                current += 1.0
        made.sort()
        self._places = array("Q", [place for place, _ in made])
        self._owners = array("H" if len(hosts) < 1 << 16 else "I", [number for _, number in made])

    def size(self) -> int:
        """Places on the ring."""
        return len(self._places)

    def place(self, key: int, attempt: int) -> int:
        """See :class:`HashTable`."""
        at: int = bisect_left(self._places, key) + attempt
        owner: int = self._owners[at % len(self._owners)]
        return owner


class Maglev(HashTable):
    """Google's consistent hashing (research.google/pubs/pub44824, listing 1) with weights, as Envoy ``MaglevTable``."""

    __slots__ = ("_owners", "_size")

    def __init__(self, hosts: Sequence[Host], weights: Sequence[float], size: int, by_hostname: bool) -> None:
        super().__init__(hosts, weights)
        self._size: int = size
        self._owners = array("H" if len(hosts) < 1 << 16 else "I", bytes(size * (2 if len(hosts) < 1 << 16 else 4)))
        keys = [hash_key(host, by_hostname) for host in hosts]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        _fill(
            self._owners,
            order,
            [xxhash64(keys[number]) % size for number in order],
            [xxhash64(keys[number], 1) % (size - 1) + 1 for number in order],
            [weights[number] for number in order],
        )

    def place(self, key: int, attempt: int) -> int:
        """See :class:`HashTable`."""
        if attempt:
            key ^= _MASK - attempt + 1
        owner: int = self._owners[key % self._size]
        return owner


def _fill(
    owners: "array[int]", order: Sequence[int], offsets: list[int], skips: Sequence[int], weights: Sequence[float]
) -> None:
    """Hosts take turns in taking the next free entry of their own permutation, the lighter ones not each time."""
    size, most = len(owners), max(weights)
    taken = bytearray(size)
    targets = [0.0] * len(order)
    left, turn = size, 0
    while left:
        turn += 1
        for number in range(len(order)):
            if turn * weights[number] < targets[number]:
                continue
            targets[number] += most
            at, skip = offsets[number], skips[number]
            while taken[at]:
                at += skip
                if at >= size:
                    at -= size
            taken[at] = 1
            owners[at] = order[number]
            at += skip
            offsets[number] = at - size if at >= size else at
            left -= 1
            if not left:
                return


def hash_key(host: Host, by_hostname: bool) -> bytes:
    """What stands for a host: its label ``hash_key``, else its name or its address."""
    if host.endpoint is not None:
        for key, value in host.endpoint.lb_metadata:
            if key == _HASH_KEY and value.startswith('"') and len(value) > 2:
                return value[1:-1].encode()
    return host.hostname.encode() if by_hostname else host.address


def shares(made: HostSet, panic: bool, by_locality: bool) -> tuple[list[Host], list[float]]:
    """The hosts of a priority that count, with their shares of the traffic (Envoy ``normalizeWeights``)."""
    hosts: list[Host] = []
    weights: list[float] = []
    if not by_locality:
        _add_shares(made.hosts if panic else made.healthy, 1.0, hosts, weights)
        return hosts, weights
    total = sum(made.locality_weights)
    listed = made.localities if panic else made.healthy_localities
    for weight, members in zip(made.locality_weights, listed, strict=True):
        if weight:
            _add_shares(members, weight / total, hosts, weights)
    return hosts, weights


def _add_shares(members: Sequence[Host], share: float, hosts: list[Host], weights: list[float]) -> None:
    total = sum(host.weight for host in members)
    for host in members:
        hosts.append(host)
        weights.append(host.weight * share / total)
