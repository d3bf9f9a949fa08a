"""What is serialized once, and kept."""

from mesh_api.xds.encode import encode_resources
from mesh_api.xds.type_urls import CLUSTER, ENDPOINT
from mesh_control.compiler import compile_proxy, compile_shared
from mesh_control.encoder import Encoder
from mesh_control.proxies import proxy_of
from mesh_control.world import World
from tests.unit.mesh_control import worlds

STORE = proxy_of(worlds.STORE)


def grown() -> World:
    """With one more host of a service."""
    return worlds.world(workloads=(*worlds.WORKLOADS, worlds.workload("order-v3", "order", "10.0.0.8")))


def test_the_bytes_are_those_of_each_resource_alone() -> None:
    assert Encoder()(compile_shared(worlds.world(), STORE)) == encode_resources(compile_proxy(worlds.world(), STORE))


def test_what_did_not_change_is_the_same_object_in_the_next_world() -> None:
    encode, world = Encoder(), worlds.world()
    before = encode(compile_shared(world, STORE))
    encode.sweep()
    after = encode(compile_shared(grown().after(world), STORE))
    assert after[CLUSTER] is before[CLUSTER]
    assert after[ENDPOINT] != before[ENDPOINT]
    again = encode(compile_shared(grown(), STORE))
    assert again[ENDPOINT] is after[ENDPOINT]  # though it was compiled again


def test_what_is_renewed_is_what_the_next_world_has() -> None:
    encode, world = Encoder(), worlds.world()
    before = encode(compile_shared(world, STORE))[ENDPOINT]
    made = compile_proxy(grown(), STORE).endpoints
    found = encode.renewed(before, {assignment.cluster_name: assignment for assignment in made})
    assert found is encode(compile_shared(grown(), STORE))[ENDPOINT]
    assert encode.renewed(before, {"unknown": made[0]}) is before


def test_versions_are_made_of_the_bytes() -> None:
    encode = Encoder()
    assert encode.version_of(b"a") == Encoder().version_of(b"a") != encode.version_of(b"b")
