"""MurmurHash2, 64 bits, as C++'s ``std::hash`` of GNU has it: Envoy's ``MURMUR_HASH_2``."""

from typing import Final

_MASK: Final = (1 << 64) - 1
_MULTIPLIER: Final = 0xC6A4A7935BD1E995
_SEED: Final = 0xC70F6907


def murmurhash2(data: bytes, seed: int = _SEED) -> int:
    """The hash in 64 bits (``MurmurHash64A``; the rest is read as one little-endian number)."""
    length = len(data)
    whole = length - length % 8
    made = seed ^ (length * _MULTIPLIER & _MASK)
    for at in range(0, whole, 8):
        word = int.from_bytes(data[at : at + 8], "little") * _MULTIPLIER & _MASK
        word = (word ^ (word >> 47)) * _MULTIPLIER & _MASK
        made = (made ^ word) * _MULTIPLIER & _MASK
    if whole < length:
        made = (made ^ int.from_bytes(data[whole:], "little")) * _MULTIPLIER & _MASK
    made = (made ^ (made >> 47)) * _MULTIPLIER & _MASK
    return made ^ (made >> 47)
