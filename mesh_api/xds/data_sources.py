"""Contents that stand in a configuration, or elsewhere (``core.v3.DataSource``)."""

import os
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import base_pb2

from mesh_api.xds.fields import Fields


def encode_source(content: bytes) -> Any:
    """``DataSource``; what is UTF-8 is written as text, for people who read the dump."""
    try:
        return base_pb2.DataSource(inline_string=content.decode())
    except UnicodeDecodeError:
        return base_pb2.DataSource(inline_bytes=content)


def decode_source(fields: Fields) -> bytes:
    """From ``DataSource``: files and the environment are read once, here."""
    with fields as f:
        kind = f.oneof("specifier")
        if kind == "inline_string":
            return f.text(kind).encode()
        if kind == "inline_bytes":
            return bytes(f.take(kind))
        if kind not in ("environment_variable", "filename"):
            raise f.error("", f"{kind or 'a missing source'} is not supported")
        name = f.text(kind)
        try:
            return os.environ[name].encode() if kind == "environment_variable" else Path(name).read_bytes()
        except (KeyError, OSError) as error:
            raise f.error(kind, f"cannot be read: {error}") from None
