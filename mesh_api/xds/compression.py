"""Filters of bodies (``compressor.v3.Compressor`` and ``decompressor.v3.Decompressor`` with gzip, ``buffer.v3.Buffer``)."""

from typing import Any, Final

from envoy.extensions.compression.gzip.compressor.v3 import gzip_pb2
from envoy.extensions.compression.gzip.decompressor.v3 import gzip_pb2 as gunzip_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.compressor.v3 import compressor_pb2
from envoy.extensions.filters.http.decompressor.v3 import decompressor_pb2

from mesh_api.config.compression import (
    BufferFilter,
    BufferOverride,
    Compression,
    CompressorFilter,
    CompressorOverride,
    Decompression,
    DecompressorFilter,
    Gzip,
)
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import boolean, pack, uint32, unpack

COMPRESSOR: Final = compressor_pb2.Compressor
COMPRESSOR_OVERRIDE: Final = compressor_pb2.CompressorPerRoute
DECOMPRESSOR: Final = decompressor_pb2.Decompressor
BUFFER: Final = buffer_pb2.Buffer
BUFFER_OVERRIDE: Final = buffer_pb2.BufferPerRoute
_LENGTH, _WINDOW, _MEMORY = 30, 12, 5
_WIDEST, _RATIO = 15, 100
"""Envoy's defaults."""


def encode_buffer(config: BufferFilter) -> Any:
    """``Buffer``."""
    return BUFFER(max_request_bytes=uint32(config.max_request_bytes))


def decode_buffer(fields: Fields) -> BufferFilter:
    """From ``Buffer``."""
    with fields as f:
        return BufferFilter(f.wrapped_number("max_request_bytes", 0))


def encode_buffer_override(config: BufferOverride) -> Any:
    """``BufferPerRoute``."""
    if config.max_request_bytes is None:
        return BUFFER_OVERRIDE(disabled=True)
    return BUFFER_OVERRIDE(buffer=BUFFER(max_request_bytes=uint32(config.max_request_bytes)))


def decode_buffer_override(fields: Fields) -> BufferOverride:
    """From ``BufferPerRoute``."""
    with fields as f:
        if f.oneof("override") == "buffer":
            return BufferOverride(decode_buffer(f.child("buffer")).max_request_bytes)
        if not f.flag("disabled"):
            raise f.error("disabled", "what is not switched off has settings")
        return BufferOverride()


def encode_compressor_override(config: CompressorOverride) -> Any:
    """``CompressorPerRoute``."""
    if config.enabled is False:
        return COMPRESSOR_OVERRIDE(disabled=True)
    message = COMPRESSOR_OVERRIDE()
    said = message.overrides
    said.SetInParent()
    if config.enabled:
        said.response_direction_config.SetInParent()
        if config.remove_accept_encoding is not None:
            said.response_direction_config.remove_accept_encoding_header.value = config.remove_accept_encoding
    if config.gzip is not None:
        said.compressor_library.name = config.name
        said.compressor_library.typed_config.CopyFrom(pack(_encode_gzip(config.gzip)))
    return message


def decode_compressor_override(fields: Fields) -> CompressorOverride:
    """From ``CompressorPerRoute``. Where it speaks of answers at all, they are compressed (Envoy)."""
    with fields as f:
        if f.oneof("override") != "overrides":
            if not f.flag("disabled"):
                raise f.error("disabled", "what is not switched off has settings")
            return CompressorOverride(enabled=False)
        enabled, remove, name, gzip = None, None, "", None
        with f.child("overrides") as said:
            if (answers := said.optional("response_direction_config")) is not None:
                with answers as a:
                    enabled, remove = True, a.wrapped("remove_accept_encoding_header")
            if (library := said.optional("compressor_library")) is not None:
                name, gzip = _decode_library(library)
        return CompressorOverride(enabled, remove, name, gzip)


def encode_compressor(config: CompressorFilter) -> Any:
    """``Compressor``."""
    message = COMPRESSOR()
    message.compressor_library.name = config.name
    message.compressor_library.typed_config.CopyFrom(pack(_encode_gzip(config.gzip)))
    answers = message.response_direction_config
    answers.CopyFrom(
        COMPRESSOR.ResponseDirectionConfig(
            common_config=_encode_direction(config.response),
            disable_on_etag_header=config.disable_on_etag,
            remove_accept_encoding_header=config.remove_accept_encoding,
            uncompressible_response_codes=config.uncompressible_statuses,
        )
    )
    if config.request is not None:
        message.request_direction_config.common_config.CopyFrom(_encode_direction(config.request))
    return message


def _encode_direction(direction: Compression) -> Any:
    made = COMPRESSOR.CommonDirectionConfig(
        min_content_length=uint32(direction.min_content_length, unless=_LENGTH), content_type=direction.content_types
    )
    if not direction.enabled:
        made.enabled.default_value.value = False
        made.enabled.runtime_key = "compressor"  # Envoy wants one, under which a runtime layer could say otherwise
    return made


def _encode_gzip(config: Gzip) -> Any:
    return gzip_pb2.Gzip(
        compression_level=max(config.level, 0),
        compression_strategy=config.strategy,
        window_bits=uint32(config.window_bits, unless=_WINDOW),
        memory_level=uint32(config.memory_level, unless=_MEMORY),
    )


def decode_compressor(fields: Fields) -> CompressorFilter:
    """From ``Compressor``; only gzip is known."""
    with fields as f:
        f.flag("choose_first")  # there is one alone to choose
        name, gzip = _decode_library(f.child("compressor_library"))
        request = None
        if (wire := f.optional("request_direction_config")) is not None:
            with wire as direction:
                request = _decode_direction(direction.child("common_config"))
        with f.child("response_direction_config") as answers:
            return CompressorFilter(
                name=name,
                gzip=gzip,
                response=_decode_direction(answers.child("common_config")),
                request=request,
                disable_on_etag=answers.flag("disable_on_etag_header"),
                remove_accept_encoding=answers.flag("remove_accept_encoding_header"),
                uncompressible_statuses=tuple(map(int, answers.take("uncompressible_response_codes"))),
            )


def _decode_library(fields: Fields) -> tuple[str, Gzip]:
    with fields as library:
        name = library.text("name")
        _, config = unpack(library.child("typed_config"), (gzip_pb2.Gzip,))
        return name, _decode_gzip(config)


def _decode_direction(fields: Fields) -> Compression:
    with fields as f:
        with f.child("enabled") as enabled:
            enabled.text("runtime_key")  # no runtime layers: the default value holds
            on = enabled.wrapped_flag("default_value", default=True)
        return Compression(on, f.wrapped_number("min_content_length", _LENGTH), f.texts("content_type"))


def _decode_gzip(fields: Fields) -> Gzip:
    with fields as f:
        f.take("chunk_size")  # of what Envoy allocates at once
        return Gzip(
            level=f.number("compression_level") or -1,
            strategy=f.number("compression_strategy"),
            window_bits=f.wrapped_number("window_bits", _WINDOW),
            memory_level=f.wrapped_number("memory_level", _MEMORY),
        )


def encode_decompressor(config: DecompressorFilter) -> Any:
    """``Decompressor``."""
    message = DECOMPRESSOR()
    message.decompressor_library.name = config.name
    library = gunzip_pb2.Gzip(
        window_bits=uint32(config.window_bits, unless=_WIDEST),
        max_inflate_ratio=uint32(config.max_ratio, unless=_RATIO),
    )
    message.decompressor_library.typed_config.CopyFrom(pack(library))
    message.request_direction_config.common_config.CopyFrom(_encode_decompression(config.request))
    message.response_direction_config.common_config.CopyFrom(_encode_decompression(config.response))
    if not config.advertise:
        message.request_direction_config.advertise_accept_encoding.CopyFrom(boolean(value=False))
    return message


def _encode_decompression(direction: Decompression) -> Any:
    made = DECOMPRESSOR.CommonDirectionConfig(ignore_no_transform_header=direction.ignore_no_transform)
    if not direction.enabled:
        made.enabled.default_value.value = False
        made.enabled.runtime_key = "decompressor"  # see _encode_direction
    return made


def decode_decompressor(fields: Fields) -> DecompressorFilter:
    """From ``Decompressor``; only gzip is known."""
    with fields as f:
        with f.child("decompressor_library") as library:
            name = library.text("name")
            _, config = unpack(library.child("typed_config"), (gunzip_pb2.Gzip,))
            with config as gzip:
                gzip.take("chunk_size")
                window, ratio = (
                    gzip.wrapped_number("window_bits", _WIDEST),
                    gzip.wrapped_number("max_inflate_ratio", _RATIO),
                )
        with f.child("request_direction_config") as asked:
            request = _decode_decompression(asked.child("common_config"))
            advertise = asked.wrapped_flag("advertise_accept_encoding", default=True)
        with f.child("response_direction_config") as answers:
            response = _decode_decompression(answers.child("common_config"))
        return DecompressorFilter(name, window, ratio, request, response, advertise)


def _decode_decompression(fields: Fields) -> Decompression:
    with fields as f:
        with f.child("enabled") as enabled:
            enabled.text("runtime_key")  # no runtime layers: the default value holds
            on = enabled.wrapped_flag("default_value", default=True)
        return Decompression(on, f.flag("ignore_no_transform_header"))
