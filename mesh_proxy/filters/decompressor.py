"""Bodies in gzip that go on as they were before (Envoy's ``envoy.filters.http.decompressor``).

What is no gzip goes on as far as it can be read, and so does what becomes far larger than it was; both are counted (Envoy).
https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/decompressor_filter
"""

import zlib
from collections.abc import Callable
from typing import Final

from mesh_api.config import Decompression, DecompressorFilter
from mesh_proxy.authorization import Access
from mesh_proxy.filters.base import Filter, Verdict
from mesh_proxy.filters.bodies import BodyChange, without_length
from mesh_proxy.filters.encodings import CODING, has_token
from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.routing.table import CompiledRoute
from mesh_proxy.telemetry.stats import Counters

_GZIP_HEADER: Final = 16
"""What zlib adds to the size of its window where it is to read gzip."""
_CHUNK: Final = 4096
"""Envoy looks at how much has become of a piece whenever so much has."""
_ACCEPTED: Final = b"accept-encoding"
_ENCODED: Final = b"content-encoding"


class Decompressed(BodyChange):
    """One body."""

    __slots__ = ("_broken", "_counters", "_error", "_made", "_name", "_ratio", "_scope", "_taken", "_work")

    def __init__(self, config: DecompressorFilter, counters: Counters, scope: str, error: str) -> None:
        """``error`` is what a body is counted as that is no gzip, or too much."""
        super().__init__()
        self._error = error
        self._work = zlib.decompressobj(config.window_bits + _GZIP_HEADER)
        self._counters = counters
        self._scope = scope
        self._ratio: int = config.max_ratio
        self._name = config.name
        self._taken: int = 0
        self._made: int = 0
        self._broken: bool = False

    def take(self, content: bytes) -> bytes:
        """See :class:`BodyChange`."""
        made = b"" if self._broken else self._read(content)
        self._taken += len(content)
        self._made += len(made)
        self._counters.add(f"{self._scope}total_compressed_bytes", len(content))
        self._counters.add(f"{self._scope}total_uncompressed_bytes", len(made))
        return made

    def _read(self, content: bytes) -> bytes:
        most = (self._ratio * len(content) // _CHUNK + 1) * _CHUNK
        try:
            made = self._work.decompress(content, most)
        except zlib.error:
            self._broken, made = True, b""
        if len(made) >= most:
            self._broken = True
        if self._broken:
            self._counters.add(self._error)
        return made

    def finish(self, trailers: list[Field]) -> bytes:
        """See :class:`BodyChange`."""
        for what, amount in (("compressed", self._taken), ("uncompressed", self._made)):
            name = f"x-envoy-decompressor-{self._name.lower()}-{what}-bytes"
            trailers.append(field_of(name.encode(), b"%d" % amount))
        return b""


class Decompressor(Filter):
    """Reads what begins with gzip in both directions, and tells hosts that it does."""

    changes = True

    def __init__(self, config: DecompressorFilter, stats: Counters) -> None:
        self._config = config
        self._stats = stats
        self._scope = f"decompressor.{config.name}.gzip."

    def on_request(
        self, head: Head, route: CompiledRoute | None, random: Callable[[], float], access: Access
    ) -> Verdict:
        """Nothing is against it."""
        return None

    def change_request(self, head: Head, route: CompiledRoute | None, complete: bool) -> BodyChange | None:
        """Requests; and hosts are told what is taken for clients."""
        config = self._config
        if config.response.enabled and config.advertise:
            said = advertised(b",".join(head.values(_ACCEPTED)))
            kept = [field for field in head.fields if field.name != _ACCEPTED]
            head.replace([*kept, field_of(_ACCEPTED, said)])
        if complete:
            return None
        fields = head.fields
        changed = self._change(config.request, fields, head, f"{self._scope}request.")
        if changed is not None:
            head.replace(fields)
        return changed

    def change_response(
        self, head: Head, route: CompiledRoute | None, answer: Head, fields: list[Field], end: bool
    ) -> BodyChange | None:
        """Answers."""
        return None if end else self._change(self._config.response, fields, answer, f"{self._scope}response.")

    def _change(self, direction: Decompression, fields: list[Field], head: Head, scope: str) -> BodyChange | None:
        """What is done to the body of a message with these fields, which become those of what goes on."""
        codings = _joined(fields, _ENCODED)
        first, comma, others = codings.partition(b",")
        wanted = (
            direction.enabled
            and first.strip(b" \t").lower() == CODING
            and (direction.ignore_no_transform or not has_token(_joined(fields, b"cache-control"), b"no-transform"))
        )
        if not wanted:
            self._stats.add(f"{scope}not_decompressed")
            return None
        self._stats.add(f"{scope}decompressed")
        without_length(head, fields)
        fields[:] = [field for field in fields if field.name != _ENCODED]
        if comma:
            fields.append(field_of(_ENCODED, others.strip(b" \t")))
        return Decompressed(self._config, self._stats, scope, f"{self._scope}decompressor_library.zlib_data_error")


def advertised(accepted: bytes) -> bytes:
    """An ``Accept-Encoding`` with gzip, which is wanted most, whatever it said of that."""
    parts = [part.strip(b" \t") for part in accepted.split(b",")]
    others = [part for part in parts if part and part.partition(b";")[0].rstrip(b" \t") != CODING]
    return b",".join([*others, CODING])


def _joined(fields: list[Field], name: bytes) -> bytes:
    return b",".join([field.value for field in fields if field.name == name])
