"""Strings in HPACK's Huffman code, decoded a byte at a time (RFC 7541 5.2 and appendix B).

Nothing is encoded: what repeats is sent as an index, and for what does not the bytes saved are not worth the time.
"""

from typing import Final

_ENDS: Final = 256
"""The symbol that ends a string and must not stand in one."""
_CODES: Final[tuple[tuple[int, tuple[int, ...]], ...]] = (
    (5, (48, 49, 50, 97, 99, 101, 105, 111, 115, 116)),
    (6, (32, 37, 45, 46, 47, *range(51, 58), 61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112, 114, 117)),
    (7, (58, *range(66, 88), 89, 106, 107, 113, 118, 119, 120, 121, 122)),
    (8, (38, 42, 44, 59, 88, 90)),
    (10, (33, 34, 40, 41, 63)),
    (11, (39, 43, 124)),
    (12, (35, 62)),
    (13, (0, 36, 64, 91, 93, 126)),
    (14, (94, 125)),
    (15, (60, 96, 123)),
    (19, (92, 195, 208)),
    (20, (128, 130, 131, 162, 184, 194, 224, 226)),
    (21, (153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230)),
    (22, (129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196,
          198, 228, 232, 233)),
    (23, (1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180,
          182, 183, 188, 191, 197, 231, 239)),
    (24, (9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237)),
    (25, (199, 207, 234, 235)),
    (26, (192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255)),
    (27, (203, 204, 211, 212, 214, 221, 222, 223, 241, *range(244, 249), 250, 251, 252, 253, 254)),
    (28, (*range(2, 9), 11, 12, *range(14, 22), *range(23, 32), 127, 220, 249)),
    (30, (10, 13, 22, _ENDS)),
)  # fmt: skip
"""Lengths in bits, and the symbols whose codes are so long. The codes count up through them."""

_CACHE_LIMIT: Final = 2048
_CACHED_LENGTH: Final = 64


class _Node:
    """Where in the tree of codes a byte begins: what each of the 256 gives and where the next one begins.

    The two tables are filled when a byte is first read here; few of the 256 nodes are ever met in text.
    """

    __slots__ = ("broken", "complete", "gives", "one", "symbol", "then", "zero")

    def __init__(self) -> None:
        self.zero: _Node | None = None
        self.one: _Node | None = None
        self.symbol: int = -1
        self.complete: bool = False
        """Whether a string may end here: on the way there are at most seven ones."""
        self.broken: bool = False
        self.gives: list[bytes] = []
        self.then: list[_Node] = []


class Huffman:
    """Decodes strings, and remembers short ones; one serves all connections of a worker."""

    __slots__ = ("_broken", "_known", "_root")

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self._broken = _Node()
        self._broken.broken = True
        self._root = _tree()

    def decode(self, code: bytes) -> bytes | None:
        """The string; ``None`` for one that is padded wrongly, or holds the end of strings."""
        found = self._known.get(code)
        if found is not None:
            return found
        node = self._root
        parts: list[bytes] = []
        for byte in code:
            if not node.gives:
                self._fill(node)
            parts.append(node.gives[byte])
            node = node.then[byte]
        if not node.complete:
            return None
        text = b"".join(parts)
        if len(code) <= _CACHED_LENGTH:
            if len(self._known) >= _CACHE_LIMIT:
                self._known.clear()
            self._known[code] = text
        return text

    def _fill(self, node: _Node) -> None:
        for byte in range(256):
            at, given = node, bytearray()
            for place in range(7, -1, -1):
                step = at.one if byte >> place & 1 else at.zero
                if node.broken or step is None or step.symbol == _ENDS:
                    at = self._broken
                    break
                at = step
                if at.symbol >= 0:
                    given.append(at.symbol)
                    at = self._root
            node.gives.append(bytes(given))
            node.then.append(at)


def _tree() -> _Node:
    root = _Node()
    code = length = 0
    for bits, symbols in _CODES:
        code <<= bits - length
        length = bits
        for symbol in symbols:
            node = root
            for place in range(bits - 1, -1, -1):
                node = _step(node, code >> place & 1)
            node.symbol = symbol
            code += 1
    node = root
    for _ in range(8):
        node.complete = True
        node = _step(node, 1)
    return root


def _step(node: _Node, bit: int) -> _Node:
    """The next node, made when it is not there yet."""
    found = node.one if bit else node.zero
    if found is None:
        found = _Node()
        if bit:
            node.one = found
        else:
            node.zero = found
    return found
