"""Every field of a configuration is honoured, refused, or passed over for a reason that is written down."""

import dataclasses
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mesh_proxy
from mesh_api.config import (
    CertificateValidation,
    Cluster,
    ClusterType,
    CommonTls,
    DatadogTracer,
    DownstreamTls,
    FilterChain,
    HttpConnectionManager,
    Listener,
    ProxyConfig,
    Route,
    RouteAction,
    RouteConfiguration,
    RouterFilter,
    SocketAddress,
    TcpProxy,
    Tracing,
    VirtualHost,
)
from mesh_proxy.snapshot import Builder, Snapshot, SnapshotError
from mesh_proxy.support import PASSED_OVER, REFUSED, REFUSED_PARTS
from tests.unit.mesh_proxy.making import match

ROOT = Path(mesh_proxy.__file__).parent
KNOWN_BY_HASH = DownstreamTls(CommonTls(validation=CertificateValidation(hashes=("a",))))
READ_ELSEWHERE = {("Cluster", "eds_service_name")}
"""Read by the configuration model itself (``Cluster.assignment_name``)."""


def parts(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from parts(argument)


def reachable() -> set[type]:
    """What a configuration is made of, as far as it is not refused as a whole."""
    found: set[type] = set()
    todo: list[type] = [ProxyConfig]
    while todo:
        part = todo.pop()
        if part not in found and part not in REFUSED_PARTS:
            found.add(part)
            hints = typing.get_type_hints(part).items()
            todo += [inner for name, hint in hints if (part, name) not in REFUSED for inner in parts(hint)]
    return found


def test_no_field_is_silent() -> None:
    files = [file for file in ROOT.rglob("*.py") if "supervisor" not in file.parts and file.name != "bootstrap.py"]
    source = "\n".join(file.read_text() for file in files)
    silent = {
        (part.__name__, field.name)
        for part in reachable()
        for field in dataclasses.fields(part)
        if not re.search(rf"\.{field.name}\b", source)
    }
    told = {(part.__name__, name) for part, name in (*PASSED_OVER, *REFUSED)}
    assert silent - told == READ_ELSEWHERE


def test_the_tables_name_fields_that_there_are() -> None:
    for part, name in (*PASSED_OVER, *REFUSED):
        assert name in {field.name for field in dataclasses.fields(part)}
    assert not PASSED_OVER.keys() & REFUSED.keys()


def listener(manager: dict[str, Any]) -> ProxyConfig:
    table = RouteConfiguration("r", (VirtualHost("v", ("*",), (Route(match("/"), RouteAction("c")),)),))
    chain = FilterChain(HttpConnectionManager("s", (RouterFilter(),), route_config=table, **manager))
    return ProxyConfig((Listener("l", SocketAddress("127.0.0.1", 1), (chain,)),))


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (
            ProxyConfig(
                clusters=(Cluster("c", ClusterType.ORIGINAL_DST, extra_bind_addresses=(SocketAddress("::1", 0),)),)
            ),
            "cluster c: extra_bind_addresses is not supported yet",
        ),
        (
            ProxyConfig(
                (Listener("l", SocketAddress("127.0.0.1", 1), (FilterChain(TcpProxy("t", "c"), tls=KNOWN_BY_HASH),)),)
            ),
            "listener l: verify_certificate_hash: a SHA-256 has 64 hexadecimal digits",
        ),
        (
            listener({"tracing": Tracing(tracer=DatadogTracer("c"))}),
            "listener l: a tracer of Datadog is not supported yet",
        ),
    ],
    ids=lambda value: value.split(": ")[1] if isinstance(value, str) else "",
)
def test_what_cannot_be_run_is_refused_by_name(config: ProxyConfig, told: str) -> None:
    with pytest.raises(SnapshotError) as refused:
        Builder(Snapshot(), lambda: 0.0).build(config)
    assert str(refused.value) == told


def test_values_that_ask_for_nothing_are_taken() -> None:
    Builder(Snapshot(), lambda: 0.0).build(listener({"append_x_forwarded_port": False}))
