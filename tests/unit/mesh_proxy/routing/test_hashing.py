"""The hash of a request, as Envoy makes it (a real one is asked in ``tests/integration/mesh_proxy/worker``)."""

import pytest

from mesh_api.config import HashPolicy, RouteAction, WeightedCluster
from mesh_proxy.routing.hashing import RequestHash, xxhash64
from mesh_proxy.routing.matchers import MatcherError
from tests.unit.mesh_proxy.making import compiled, head, route

PRIME = 2654435761


def sanity(length: int) -> bytes:
    """The bytes that xxHash's own tests use (``XSUM_fillTestBuffer``)."""
    made, generator = bytearray(), PRIME
    for _ in range(length):
        made.append(generator >> 56 & 0xFF)
        generator = generator * 11400714785074694797 % 2**64
    return bytes(made)


@pytest.mark.parametrize(
    ("length", "seed", "value"),
    [
        (0, 0, 0xEF46DB3751D8E999),
        (0, PRIME, 0xAC75FDA2929B17EF),
        (1, 0, 0xE934A84ADB052768),
        (1, PRIME, 0x5014607643A9B4C3),
        (4, 0, 0x9136A0DCA57457EE),
        (14, 0, 0x8282DCC4994E35C8),
        (14, PRIME, 0xC3BD6BF63DEB6DF0),
        (222, 0, 0xB641AE8CB691C174),
        (222, PRIME, 0x20CB8AB7AE10C14A),
    ],
)
def test_the_vectors_of_xxhash(length: int, seed: int, value: int) -> None:
    assert xxhash64(sanity(length), seed) == value


def of(policies: tuple[HashPolicy, ...], *lines: str) -> int | None:
    return RequestHash(policies).of(head("/", *lines))


A, B = HashPolicy(header="X-A"), HashPolicy(header="x-b")


def test_one_header() -> None:
    assert of((A,)) is None
    assert of((A,), "x-a: user") == of((A,), "X-A:user") == xxhash64(b"user")
    assert of((A,), "x-a:") == xxhash64(b"")
    assert of((A,), "x-a: a,b") == xxhash64(b"a,b")


def test_several_values_count_in_any_order() -> None:
    both = of((A,), "x-a: 1", "x-a: 2")
    assert both == of((A,), "x-a: 2", "x-a: 1") == xxhash64(b"2", xxhash64(b"1"))


def test_several_policies_are_combined_and_a_terminal_one_is_the_last() -> None:
    one, two = xxhash64(b"1"), xxhash64(b"2")
    rotated = (one << 1 | one >> 63) % 2**64
    last = HashPolicy(header="x-a", terminal=True)
    assert of((A, B), "x-a: 1", "x-b: 2") == rotated ^ two
    assert of((A, B), "x-b: 2") == of((last, B), "x-b: 2") == two
    assert of((last, B), "x-a: 1", "x-b: 2") == one
    assert of((A, A), "x-a: 1") == (one << 1 | one >> 63) % 2**64 ^ one
    # A terminal policy without a value ends it too when there is a hash already.
    assert of((B, last, HashPolicy(header="x-c")), "x-b: 2", "x-c: 3") == two
    assert of((last, HashPolicy(header="x-c")), "x-c: 3") == xxhash64(b"3")


def test_what_is_for_one_hop_is_not_hashed() -> None:
    assert of((A,), "connection: x-a", "x-a: 1") is None


@pytest.mark.parametrize(
    "policy", [HashPolicy(cookie="a"), HashPolicy(query_parameter="a"), HashPolicy(source_ip=True)]
)
def test_other_hashes_are_refused(policy: HashPolicy) -> None:
    with pytest.raises(MatcherError, match="use_hash_policy: "):
        RequestHash((policy,))


@pytest.mark.parametrize("hashed", [True, False])
def test_a_route_chooses_by_the_hash_where_it_says_so(hashed: bool) -> None:
    clusters = (WeightedCluster("one", 30), WeightedCluster("two", 70))
    made = compiled(route(action=RouteAction(weighted_clusters=clusters, hash_policies=(A,), use_hash_policy=hashed)))
    for number in range(50):
        value = f"user-{number}"
        wanted = "one" if xxhash64(value.encode()) % 100 < 30 else "two"
        found = {made.choose(dice, head("/", f"x-a: {value}")).cluster for dice in (0.0, 0.99)}
        assert found == ({wanted} if hashed else {"one", "two"})
    assert [made.choose(dice, head()).cluster for dice in (0.29, 0.31)] == ["one", "two"]
