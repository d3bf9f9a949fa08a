"""Names of headers that keep their case over HTTP/1 (``core.v3.Http1ProtocolOptions.HeaderKeyFormat``)."""

from typing import Any, Final

from envoy.config.core.v3 import protocol_pb2
from envoy.extensions.http.header_formatters.preserve_case.v3 import preserve_case_pb2

from mesh_api.xds.fields import Fields
from mesh_api.xds.values import pack, unpack

PRESERVE_CASE: Final = "preserve_case"


def encode_case() -> Any:
    """``HeaderKeyFormat`` that keeps it."""
    form = protocol_pb2.Http1ProtocolOptions.HeaderKeyFormat()
    form.stateful_formatter.name = PRESERVE_CASE
    form.stateful_formatter.typed_config.CopyFrom(pack(preserve_case_pb2.PreserveCaseFormatterConfig()))
    return form


def decode_case(fields: Fields | None) -> bool:
    """Whether it is kept; every other form is an error."""
    if fields is None:
        return False
    with fields as f:
        if f.oneof("header_format") != "stateful_formatter":
            raise f.error("", "only stateful_formatter is supported")
        with f.child("stateful_formatter") as form:
            form.text("name")
            _, config = unpack(form.child("typed_config"), (preserve_case_pb2.PreserveCaseFormatterConfig,))
            with config:
                return True
