"""What a request must be, and what is believed of it."""

from typing import Any

import pytest

from mesh_api.config import HttpConnectionManager, RouteAction, RouteConfiguration, RouterFilter
from mesh_proxy.protocol.http1 import Head
from mesh_proxy.routing.table import RouteTable
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.telemetry.record import Record
from mesh_proxy.telemetry.stats import Counters
from mesh_proxy.worker.admission import admit, may_upgrade
from mesh_proxy.worker.context import RequestIds
from tests.unit.mesh_proxy.making import compiled, head, route

STRANGER = b"203.0.113.9:4711"


def admitted(request: Head, **settings: Any) -> tuple[int, str]:
    """Status and details of the refusal; 0 where there is none."""
    config = HttpConnectionManager("s", (RouterFilter(),), upgrades=("websocket",), **settings)
    chain = HttpChain(config, RouteTable(RouteConfiguration("r")), (), Counters("http.s"))
    reply = admit(request, chain, STRANGER, RequestIds(), Record(0.0, 0.0))
    return (0, "") if reply is None else (reply.status, reply.details)


@pytest.mark.parametrize(
    ("target", "settings", "path", "query"),
    [
        ("/a/../b?c=/../d", {"normalize_path": True}, b"/b", b"c=/../d"),
        ("/a/../b", {}, b"/a/../b", b""),
        ("//a//b", {"merge_slashes": True}, b"/a/b", b""),
        ("http://other/x?y", {}, b"/x", b"y"),
        ("https://other", {}, b"/", b""),
    ],
)
def test_the_path_is_as_the_settings_want_it(target: str, settings: dict[str, bool], path: bytes, query: bytes) -> None:
    request = head(target)
    assert admitted(request, **settings) == (0, "")
    assert (request.path, request.query) == (path, query)
    assert request.target == path + (b"?" + query if query else b"")


def test_the_authority_of_a_whole_url_counts() -> None:
    request = head("http://other:81/x", host="h")
    admitted(request)
    assert request.host == b"other:81"


@pytest.mark.parametrize(
    ("request_head", "refusal"),
    [
        (head("h>:443", method="CONNECT"), (400, "http.invalid_authority")),
        (head("*", method="OPTIONS"), (404, "absolute_path_rejected")),
        (head("ftp://h/x"), (400, "http1.codec_error")),
    ],
    ids=["connect", "asterisk", "another scheme"],
)
def test_what_cannot_be_routed_is_refused(request_head: Head, refusal: tuple[int, str]) -> None:
    assert admitted(request_head) == refusal


def test_an_upgrade_that_is_allowed_ends_the_connection_with_it() -> None:
    request = head("/", "Connection: upgrade", "Upgrade: websocket")
    assert admitted(request) == (0, "")
    assert (request.upgrade, request.close) == (b"websocket", True)


def test_a_tunnel_has_an_authority_and_no_path() -> None:
    request = head("other:443", method="CONNECT")
    assert admitted(request, normalize_path=True) == (0, "")
    assert (request.host, request.path, request.target, request.upgrade) == (b"other:443", b"", b"", b"connect")


@pytest.mark.parametrize(
    ("route_of", "allowed"),
    [({}, True), ({"upgrades_off": ("WebSocket",)}, False), ({"upgrades": ("chess",)}, True)],
)
def test_a_route_may_forbid_what_is_allowed_elsewhere(route_of: dict[str, Any], allowed: bool) -> None:
    config = HttpConnectionManager("s", (RouterFilter(),), upgrades=("websocket",))
    chain = HttpChain(config, RouteTable(RouteConfiguration("r")), (), Counters("http.s"))
    request = head("/", "Connection: upgrade", "Upgrade: websocket")
    assert may_upgrade(request, compiled(route("/", RouteAction("c", **route_of))), chain) is allowed


@pytest.mark.parametrize(
    ("authority", "mode", "dot", "stripped_to"),
    [
        ("h:80", "", False, b"h:80"),
        ("h:80", "MATCHING", False, b"h"),
        ("h:81", "MATCHING", False, b"h:81"),
        ("h:81", "ANY", False, b"h"),
        ("[::1]:80", "ANY", False, b"[::1]"),
        ("[::1]", "ANY", False, b"[::1]"),
        ("h.", "", True, b"h"),
        ("h.:81", "", True, b"h:81"),
        ("h.:81", "ANY", True, b"h"),
    ],
)
def test_what_is_dropped_of_an_authority(authority: str, mode: str, dot: bool, stripped_to: bytes) -> None:
    request = head("/", host=authority)
    config = HttpConnectionManager("s", (RouterFilter(),), strip_port=mode, strip_trailing_host_dot=dot)
    chain = HttpChain(config, RouteTable(RouteConfiguration("r")), (), Counters("http.s"))
    assert admit(request, chain, STRANGER, RequestIds(), Record(0.0, 0.0), port=80) is None
    assert request.host == stripped_to


CERTIFICATE = "X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/default/sa/admin"


@pytest.mark.parametrize(
    ("mode", "kept"), [("SANITIZE", False), ("APPEND_FORWARD", False), ("ALWAYS_FORWARD_ONLY", True)]
)
def test_nobody_vouches_for_a_client_without_a_certificate(mode: str, kept: bool) -> None:
    request = head("/", CERTIFICATE)
    admitted(request, forward_client_cert=mode)
    assert (request.get(b"x-forwarded-client-cert") is not None) is kept


def test_at_the_edge_nothing_is_believed() -> None:
    request = head("/", "X-Request-Id: mine", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https")
    admitted(request, use_remote_address=True)
    assert request.get(b"x-request-id") != b"mine"
    assert request.get(b"x-forwarded-for") == b"10.0.0.1,203.0.113.9"
    assert request.get(b"x-forwarded-proto") == b"http"


def test_within_the_mesh_the_id_is_kept_and_made_where_there_is_none() -> None:
    request = head("/", "X-Request-Id: mine")
    admitted(request)
    assert request.get(b"x-request-id") == b"mine"
    without = head("/")
    admitted(without)
    assert len(without.get(b"x-request-id") or b"") == 36


@pytest.mark.parametrize(
    ("hops", "forwarded", "client"),
    [
        (0, "10.0.0.1", b"203.0.113.9"),
        (1, "10.0.0.1", b"10.0.0.1"),
        (1, "10.0.0.1, 10.0.0.2", b"10.0.0.2"),
        (2, "10.0.0.1, 10.0.0.2", b"10.0.0.1"),
        (2, "10.0.0.1", b"203.0.113.9"),
        (1, "nonsense", b"203.0.113.9"),
    ],
)
def test_at_the_edge_so_many_are_believed_as_stand_before_it(hops: int, forwarded: str, client: bytes) -> None:
    record = Record(0.0, 0.0)
    record.downstream_remote = STRANGER
    request = head("/", f"X-Forwarded-For: {forwarded}")
    config = HttpConnectionManager("s", (RouterFilter(),), use_remote_address=True, xff_num_trusted_hops=hops)
    chain = HttpChain(config, RouteTable(RouteConfiguration("r")), (), Counters("http.s"))
    assert admit(request, chain, STRANGER, RequestIds(), record) is None
    assert record.downstream_remote.rpartition(b":")[0] == client


@pytest.mark.parametrize("method", ["get", "Get", "patch"])
def test_a_method_in_small_letters_is_none(method: str) -> None:
    assert admitted(head("/", method=method)) == (400, "http1.codec_error")
