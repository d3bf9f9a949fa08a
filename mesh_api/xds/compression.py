"""Filters of bodies (``compressor.v3.Compressor`` with gzip, ``buffer.v3.Buffer``)."""

from typing import Any, Final

from envoy.extensions.compression.gzip.compressor.v3 import gzip_pb2
from envoy.extensions.filters.http.buffer.v3 import buffer_pb2
from envoy.extensions.filters.http.compressor.v3 import compressor_pb2

from mesh_api.config.compression import BufferFilter, Compression, CompressorFilter, Gzip
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import pack, uint32, unpack

COMPRESSOR: Final = compressor_pb2.Compressor
BUFFER: Final = buffer_pb2.Buffer
_LENGTH, _WINDOW, _MEMORY = 30, 12, 5
"""Envoy's defaults."""


def encode_buffer(config: BufferFilter) -> Any:
    """``Buffer``."""
    return BUFFER(max_request_bytes=uint32(config.max_request_bytes))


def decode_buffer(fields: Fields) -> BufferFilter:
    """From ``Buffer``."""
    with fields as f:
        return BufferFilter(f.wrapped_number("max_request_bytes", 0))


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
        with f.child("compressor_library") as library:
            name = library.text("name")
            _, config = unpack(library.child("typed_config"), (gzip_pb2.Gzip,))
            gzip = _decode_gzip(config)
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
