"""Addresses and CIDR ranges (``core.v3.Address``, ``core.v3.CidrRange``)."""

from typing import Any

from envoy.config.core.v3 import address_pb2
from google.protobuf import wrappers_pb2

from mesh_api.config.sockets import PipeAddress, SocketAddress
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields


def encode_address(address: SocketAddress | PipeAddress) -> Any:
    """``core.v3.Address``."""
    if isinstance(address, PipeAddress):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=address.path))
    return address_pb2.Address(
        socket_address=address_pb2.SocketAddress(address=address.address, port_value=address.port)
    )


def decode_address(fields: Fields) -> SocketAddress | PipeAddress:
    """From ``core.v3.Address``."""
    with fields as f:
        kind = f.oneof("address")
        if kind == "pipe":
            with f.child("pipe") as pipe:
                return PipeAddress(pipe.text("path"))
        if kind != "socket_address":
            raise f.error("", f"{kind or 'a missing address'} is not supported")
        with f.child("socket_address") as socket:
            socket.enum("protocol", "TCP")
            return SocketAddress(socket.text("address"), socket.number("port_value"))


def encode_cidr(prefix: str) -> Any:
    """``core.v3.CidrRange`` of ``address/length``."""
    address, slash, length = prefix.partition("/")
    if not slash or not length.isdigit():
        raise EncodeError(f"{prefix!r} is not of the form address/length")
    return address_pb2.CidrRange(address_prefix=address, prefix_len=wrappers_pb2.UInt32Value(value=int(length)))


def decode_cidr(fields: Fields) -> str:
    """``address/length`` of a ``core.v3.CidrRange``."""
    with fields as f:
        return f"{f.text('address_prefix')}/{f.wrapped_number('prefix_len', 0)}"
