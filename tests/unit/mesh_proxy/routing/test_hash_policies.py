"""Keys of requests. That they are those of a real Envoy is tested in ``tests/integration/mesh_proxy/balancing``."""

import pytest

from mesh_api.config import HashPolicy
from mesh_proxy.routing.hash_policies import HashPolicies
from mesh_proxy.routing.hashing import RequestHash, xxhash64
from tests.unit.mesh_proxy.making import head

REMOTE, LOCAL = b"10.0.0.1:1234", b"10.0.0.2:80"


def key(*policies: HashPolicy, target: str = "/", lines: tuple[str, ...] = ()) -> tuple[int, list[bytes]]:
    cookies: list[bytes] = []
    return HashPolicies(policies).key(head(target, *lines), REMOTE, LOCAL, cookies), cookies


HEADER, COOKIE, QUERY, SOURCE = (
    HashPolicy(header="X-Key"), HashPolicy(cookie="user"), HashPolicy(query_parameter="k"), HashPolicy(source_ip=True)
)  # fmt: skip
ROWS: list[tuple[HashPolicy, str, tuple[str, ...], int]] = [
    (HEADER, "/", (), -1),
    (HEADER, "/", ("x-key: v",), xxhash64(b"v")),
    (COOKIE, "/", (), -1),
    (COOKIE, "/", ("cookie: a=b; user=v",), xxhash64(b"v")),
    (COOKIE, "/", ('cookie: user="v"',), xxhash64(b"v")),
    (COOKIE, "/", ("cookie: user=",), -1),
    (QUERY, "/", (), -1),
    (QUERY, "/?k=v&k=w", (), xxhash64(b"v")),
    (QUERY, "/?k", (), xxhash64(b"")),
    (QUERY, "/?kk=v", (), -1),
    (SOURCE, "/", (), xxhash64(b"10.0.0.1")),
]


@pytest.mark.parametrize(("policy", "target", "lines", "expected"), ROWS)
def test_each_policy_looks_at_one_thing(policy: HashPolicy, target: str, lines: tuple[str, ...], expected: int) -> None:
    assert key(policy, target=target, lines=lines) == (expected, [])


def test_a_cookie_with_a_time_is_made_once_for_a_connection() -> None:
    attributes = (("SameSite", "Strict"), ("Secure", ""))
    policy = HashPolicy(cookie="user", cookie_ttl=60.0, cookie_path="/a", cookie_attributes=attributes)
    found, cookies = key(policy)
    value = b"%016x" % xxhash64(REMOTE + LOCAL)
    assert cookies == [b'user="%b"; Max-Age=60; Path=/a; SameSite=Strict; Secure; HttpOnly' % value]
    assert found == xxhash64(value)
    assert key(policy, lines=(f"cookie: user={value.decode()}",)) == (found, [])


@pytest.mark.parametrize("lines", [(), ("x-key: a",), ("x-key: a", "x-key: b"), ("x-b: c",), ("x-key: a", "x-b: c")])
def test_headers_count_as_they_do_among_weighted_clusters(lines: tuple[str, ...]) -> None:
    policies = (HEADER, HashPolicy(header="x-b", terminal=True), HashPolicy(header="x-c"))
    found, _ = key(*policies, lines=lines)
    assert found == (-1 if (same := RequestHash(policies).of(head("/", *lines))) is None else same)
