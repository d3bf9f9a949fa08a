"""Filters that make bodies smaller, or hold them back until they are complete (Envoy ``compressor.v3``, ``decompressor.v3``,
``buffer.v3``)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gzip:
    """How gzip works: ``level`` 1 (fast) to 9 (small), -1: zlib's choice; ``strategy`` by zlib's numbers; the window has two
    to the power of ``window_bits`` bytes; ``memory_level`` 1 to 9."""

    level: int = -1
    strategy: int = 0
    window_bits: int = 12
    memory_level: int = 5


@dataclass(frozen=True, slots=True)
class Compression:
    """What is compressed of one direction: bodies of at least ``min_content_length`` bytes and of one of ``content_types``
    (none given: Envoy's list of texts)."""

    enabled: bool = True
    min_content_length: int = 30
    content_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CompressorFilter:
    """``envoy.filters.http.compressor`` with gzip; ``name`` is the library's, for statistics.

    ``response`` and ``request`` are the two directions; without ``request`` requests stay as they are. Of answers: one that
    has an ``etag`` stays as it is where ``disable_on_etag`` says so, ``remove_accept_encoding`` hides from hosts what clients
    take, and an answer with one of ``uncompressible_statuses`` stays as it is.
    """

    name: str
    gzip: Gzip = Gzip()
    response: Compression = Compression()
    request: Compression | None = None
    disable_on_etag: bool = False
    remove_accept_encoding: bool = False
    uncompressible_statuses: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BufferFilter:
    """``envoy.filters.http.buffer``: requests go on when they are complete, bodies of at most ``max_request_bytes``."""

    max_request_bytes: int


@dataclass(frozen=True, slots=True)
class CompressorOverride:
    """What a route or a virtual host says of the answers that the compressor has (``CompressorPerRoute``); ``None``: nothing.

    ``name`` and ``gzip`` are of another library, in the place of the filter's.
    """

    enabled: bool | None = None
    remove_accept_encoding: bool | None = None
    name: str = ""
    gzip: Gzip | None = None


@dataclass(frozen=True, slots=True)
class BufferOverride:
    """The same of the buffer (``BufferPerRoute``); ``None``: requests go on as they come."""

    max_request_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Decompression:
    """What is decompressed of one direction; ``ignore_no_transform``: also what ``cache-control`` wants to stay as it is."""

    enabled: bool = True
    ignore_no_transform: bool = False


@dataclass(frozen=True, slots=True)
class DecompressorFilter:
    """``envoy.filters.http.decompressor`` with gzip; ``name`` is the library's, for statistics and trailers.

    ``advertise``: hosts are told that gzip is taken. ``window_bits``: the window has two to the power of so many bytes.
    ``max_ratio``: what becomes larger than so many times itself is cut off.
    """

    name: str
    window_bits: int = 15
    max_ratio: int = 100
    request: Decompression = Decompression()
    response: Decompression = Decompression()
    advertise: bool = True
