"""Names of gRPC's options: it says nothing of one that it does not know."""

from pathlib import Path

import pytest
from grpc._cython import cygrpc

from mesh_control.serve import limits
from mesh_proxy.supervisor import ads

LIBRARY = Path(cygrpc.__file__).read_bytes()


@pytest.mark.parametrize(
    "name",
    sorted({name for options in (limits.OPTIONS, ads.OPTIONS) for name, _ in options}),
)
def test_grpc_knows_the_option(name: str) -> None:
    assert name.encode() + b"\0" in LIBRARY


def test_proxies_may_ask_as_often_as_they_do_whether_the_control_plane_is_there() -> None:
    served, asked = dict(limits.OPTIONS), dict(ads.OPTIONS)
    assert served["grpc.http2.min_ping_interval_without_data_ms"] < asked["grpc.keepalive_time_ms"]
