"""Answers, and requests where that is wanted, in gzip (Envoy's ``envoy.filters.http.compressor``).

https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/compressor_filter
"""

import zlib
from collections.abc import Callable
from typing import Final

from mesh_api.config import Compression, CompressorFilter, Gzip
from mesh_proxy.authorization import Access
from mesh_proxy.filters.base import Filter, Verdict
from mesh_proxy.filters.bodies import BodyChange, without_length
from mesh_proxy.filters.encodings import CODING, has_token, preferred, transferable, type_in
from mesh_proxy.protocol.http1 import HOP, Field, Head, field_of
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.telemetry.stats import Counters

_GZIP_HEADER: Final = 16
"""What zlib adds to the size of its window where it is to write gzip."""
_TEXTS: Final = frozenset(
    b"text/html text/plain text/css application/javascript application/x-javascript text/javascript text/x-javascript "
    b"text/ecmascript text/js text/jscript text/x-js application/ecmascript application/x-json application/xml "
    b"application/json image/svg+xml text/xml application/xhtml+xml".split()
)
"""What is compressed where the configuration names no types (Envoy)."""
_ENCODED: Final = field_of(b"content-encoding", CODING)
_VARY: Final = b"Accept-Encoding"


class Compressed(BodyChange):
    """One body. What comes at once goes on at once, so that nobody waits for what is held back to be worth it."""

    __slots__ = ("_counters", "_left", "_scope", "_work")

    def __init__(self, gzip: Gzip, counters: Counters, scope: str, length: int) -> None:
        """``length``: of the body; -1: it is not known."""
        super().__init__()
        self._work = zlib.compressobj(
            gzip.level, zlib.DEFLATED, gzip.window_bits + _GZIP_HEADER, gzip.memory_level, gzip.strategy
        )
        self._counters = counters
        self._scope = scope
        self._left: int = length

    def take(self, content: bytes) -> bytes:
        """See :class:`BodyChange`."""
        made = self._work.compress(content)
        if self._left >= 0:
            self._left -= len(content)
        if self._left != 0:
            made += self._work.flush(zlib.Z_SYNC_FLUSH)
        self._counters.add(f"{self._scope}total_uncompressed_bytes", len(content))
        self._counters.add(f"{self._scope}total_compressed_bytes", len(made))
        return made

    def finish(self, trailers: list[Field]) -> bytes:
        """See :class:`BodyChange`."""
        made = self._work.flush(zlib.Z_FINISH)
        self._counters.add(f"{self._scope}total_compressed_bytes", len(made))
        return made


class Direction:
    """One direction, ready."""

    __slots__ = ("counters", "enabled", "scope", "shortest", "types")

    def __init__(self, config: Compression, counters: Counters, scope: str) -> None:
        self.enabled: bool = config.enabled
        self.shortest: int = config.min_content_length
        self.types: frozenset[bytes] = frozenset([name.encode() for name in config.content_types]) or _TEXTS
        self.counters = counters
        self.scope: str = scope

    def count(self, name: str) -> None:
        """Under Envoy's name."""
        self.counters.add(self.scope + name)

    def is_long(self, length: int) -> bool:
        """Whether the body may be worth it; of one without a length it is thought so (Envoy)."""
        if 0 <= length < self.shortest:
            self.count("content_length_too_small")
            return False
        return True


class Compressor(Filter):
    """Compresses what is long enough, text, asked for, and not to be left as it is."""

    changes = True

    def __init__(self, config: CompressorFilter, stats: Counters) -> None:
        self._config = config
        self._scope = scope = f"compressor.{config.name}.gzip."
        self._response = Direction(config.response, stats, f"{scope}response.")
        self._request = None if config.request is None else Direction(config.request, stats, f"{scope}request.")
        self._statuses = frozenset(config.uncompressible_statuses)

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """Nothing is against it."""
        return None

    def change_request(self, head: Head, route: CompiledRoute | None, complete: bool) -> BodyChange | None:
        """Requests, where the configuration says so; and what the client takes is remembered for its answer."""
        if self._hides(route):
            head.replace([_kept_here(field) for field in head.fields])
        direction = self._request
        if direction is None:
            return None
        wanted = (
            not complete
            and direction.enabled
            and not head.upgrade
            and direction.is_long(head.length)
            and type_in(head.get(b"content-type"), direction.types)
            and head.get(b"content-encoding") is None
        )
        if not wanted:
            direction.count("not_compressed")
            return None
        length = head.length
        fields = head.fields
        without_length(head, fields)
        fields.append(_ENCODED)
        head.replace(fields)
        direction.count("compressed")
        return Compressed(self._gzip(route), direction.counters, direction.scope, length)

    def change_response(
        self, head: Head, route: CompiledRoute | None, answer: Head, fields: list[Field], end: bool
    ) -> BodyChange | None:
        """Answers. That another form of one was possible is told to caches in any case."""
        direction = self._response
        found = _index(fields)
        long = self._answers(route) and answer.status not in self._statuses and direction.is_long(answer.length)
        fit = long and self._is_fit(head, found)
        changed: BodyChange | None = None
        if not end and long and self._is_asked_for(head) and fit and transferable(answer):
            kept = [field for field in fields if field.name != b"etag" or field.value[:2] in (b"W/", b"w/")]
            fields[:] = kept
            length = answer.length
            without_length(answer, fields)
            fields.append(_ENCODED)
            direction.count("compressed")
            changed = Compressed(self._gzip(route), direction.counters, direction.scope, length)
        else:
            direction.count("not_compressed")
        if fit:
            _tell_vary(fields, found.get(b"vary"))
        return changed

    def _answers(self, route: CompiledRoute | None) -> bool:
        """Whether answers are compressed at all: as their route says, else the filter."""
        said = None if route is None or route.compressor is None else route.compressor.enabled
        return self._response.enabled if said is None else said

    def _hides(self, route: CompiledRoute | None) -> bool:
        """Whether hosts are not told what the client takes."""
        said = None if route is None or route.compressor is None else route.compressor.remove_accept_encoding
        return (self._config.remove_accept_encoding if said is None else said) and self._answers(route)

    def _gzip(self, route: CompiledRoute | None) -> Gzip:
        said = None if route is None or route.compressor is None else route.compressor.gzip
        return self._config.gzip if said is None else said

    def _is_fit(self, head: Head, found: dict[bytes, bytes]) -> bool:
        """Whether nothing about the answer is against it."""
        if not type_in(found.get(b"content-type"), self._response.types) or b"upgrade" in found:
            return False
        if has_token(found.get(b"cache-control"), b"no-transform"):
            return False
        if self._config.disable_on_etag and b"etag" in found:
            self._response.counters.add(self._scope + "not_compressed_etag")
            return False
        return b"content-encoding" not in found

    def _is_asked_for(self, head: Head) -> bool:
        """Whether the client takes gzip, and nothing rather than that."""
        how = preferred(head.get(b"accept-encoding"))
        self._response.counters.add(self._scope + how)
        return how in ("header_compressor_used", "header_wildcard")


def _kept_here(field: Field) -> Field:
    """A field, which is not told to hosts where it says what the client takes."""
    return Field(HOP, field.name, field.value, field.line) if field.name == b"accept-encoding" else field


def _index(fields: list[Field]) -> dict[bytes, bytes]:
    """Values by name; the first of several counts."""
    return {field.name: field.value for field in reversed(fields)}


def _tell_vary(fields: list[Field], before: bytes | None) -> None:
    """Caches are to keep the answer apart from that for other clients."""
    if before is None:
        fields.append(field_of(b"vary", _VARY))
    elif _VARY not in [word.strip(b" \t") for word in before.split(b",")]:  # in these very letters (Envoy)
        fields[:] = [field for field in fields if field.name != b"vary"]
        fields.append(field_of(b"vary", before + b", " + _VARY))
