"""What is serialized once, and kept."""

from mesh_api.xds.type_urls import CLUSTER, ENDPOINT
from mesh_control.compiler import compile_proxy
from mesh_control.encoder import Encoder
from mesh_control.proxies import proxy_of
from tests.unit.mesh_control import worlds


def test_what_did_not_change_is_the_same_object_in_the_next_world() -> None:
    proxy = proxy_of(worlds.STORE)
    first = Encoder()
    before = first(compile_proxy(worlds.world(), proxy))
    second = Encoder(first)
    workloads = (*worlds.WORKLOADS, worlds.workload("order-v3", "order", "10.0.0.8"))
    after = second(compile_proxy(worlds.world(workloads=workloads), proxy))
    assert after[CLUSTER] is before[CLUSTER]
    assert after[ENDPOINT] != before[ENDPOINT]
    second.in_force([after])
    assert second(compile_proxy(worlds.world(workloads=workloads), proxy))[ENDPOINT] is after[ENDPOINT]


def test_versions_are_made_of_the_bytes() -> None:
    encode = Encoder()
    assert encode.version_of(b"a") == Encoder().version_of(b"a") != encode.version_of(b"b")
