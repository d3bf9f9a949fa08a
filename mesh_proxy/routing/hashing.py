"""A choice that is always the same for the same header: Envoy's hash of a request.

Pure Python on purpose: a request hashes one short value, in some microseconds, and the sidecar needs no more packages.
"""

from collections.abc import Sequence
from typing import Final

from mesh_api.config import HashPolicy
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.matchers import MatcherError, values_of

_MASK: Final = (1 << 64) - 1
_P1: Final = 0x9E3779B185EBCA87
_P2: Final = 0xC2B2AE3D27D4EB4F
_P3: Final = 0x165667B19E3779F9
_P4: Final = 0x85EBCA77C2B2AE63
_P5: Final = 0x27D4EB2F165667C5


class RequestHash:
    """Hash policies of a route, prepared. Raises :class:`MatcherError` for one that is not of a header."""

    __slots__ = ("_policies",)

    def __init__(self, policies: Sequence[HashPolicy]) -> None:
        for policy in policies:
            if not policy.header:
                raise MatcherError(
                    "use_hash_policy: weights by the hash of anything but a header are not supported yet"
                )
        self._policies = tuple((policy.header.lower().encode(), policy.terminal) for policy in policies)

    def of(self, head: Head) -> int | None:
        """The hash in 64 bits; ``None`` for a request that none of the policies says anything about.

        Several values count in any order, each as the seed of the next; several policies are combined by rotation, so that
        equal ones do not cancel each other out; a terminal one is the last when there is a hash by then, its own or one of
        those before it (Envoy 1.40, measured).
        """
        found: int | None = None
        for name, terminal in self._policies:
            values = values_of(name, head)
            if values:
                hashed = 0
                for value in sorted(values):
                    hashed = xxhash64(value, hashed)
                before = ((found << 1) | (found >> 63)) & _MASK if found else 0
                found = before ^ hashed
            if terminal and found is not None:
                break
        return found


def xxhash64(data: bytes, seed: int = 0) -> int:
    """XXH64 (github.com/Cyan4973/xxHash, ``doc/xxhash_spec.md``)."""
    length, at = len(data), 0
    if length >= 32:
        lanes = [seed + _P1 + _P2, seed + _P2, seed, seed - _P1]
        while at + 32 <= length:
            for place in range(4):
                word = int.from_bytes(data[at + 8 * place : at + 8 * place + 8], "little")
                lanes[place] = _round(lanes[place] & _MASK, word)
            at += 32
        one, two, three, four = lanes
        made = (_rotated(one, 1) + _rotated(two, 7) + _rotated(three, 12) + _rotated(four, 18)) & _MASK
        for lane in lanes:
            made = ((made ^ _round(0, lane)) * _P1 + _P4) & _MASK
    else:
        made = (seed + _P5) & _MASK
    made = (made + length) & _MASK
    return _mixed(_rest(made, data[at:]))


def _rest(made: int, data: bytes) -> int:
    """The last bytes, fewer than 32: by eight, four, and one."""
    at, length = 0, len(data)
    while at + 8 <= length:
        made ^= _round(0, int.from_bytes(data[at : at + 8], "little"))
        made = (_rotated(made, 27) * _P1 + _P4) & _MASK
        at += 8
    if at + 4 <= length:
        made ^= int.from_bytes(data[at : at + 4], "little") * _P1 & _MASK
        made = (_rotated(made, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        made = _rotated(made ^ (byte * _P5 & _MASK), 11) * _P1 & _MASK
    return made


def _mixed(made: int) -> int:
    made = (made ^ (made >> 33)) * _P2 & _MASK
    made = (made ^ (made >> 29)) * _P3 & _MASK
    return made ^ (made >> 32)


def _round(lane: int, word: int) -> int:
    return _rotated((lane + word * _P2) & _MASK, 31) * _P1 & _MASK


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (64 - bits))) & _MASK
