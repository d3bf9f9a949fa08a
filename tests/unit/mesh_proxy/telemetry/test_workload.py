"""Who is at the other end, read and written as Istio's proxies do."""

import base64

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from mesh_proxy.telemetry.workload import NOBODY, Workload, header_of, of_endpoint, of_header, of_metadata

METADATA = {
    "NAME": "store-1",
    "NAMESPACE": "shop",
    "CLUSTER_ID": "Kubernetes",
    "WORKLOAD_NAME": "store-v2",
    "OWNER": "kubernetes://apis/apps/v1/namespaces/shop/deployments/store-v2",
    "LABELS": {"app": "store", "version": "v2", "service.istio.io/canonical-name": "the-store"},
}


PARTS = "app", "cluster", "name", "namespace", "revision", "service", "version"


def parts(workload: Workload) -> tuple[str, ...]:
    return tuple(getattr(workload, name) for name in PARTS)


def header(value: object) -> bytes:
    return base64.b64encode(ParseDict(value, Struct()).SerializeToString())


def test_a_node_is_known_by_its_labels() -> None:
    found = of_metadata(METADATA)
    assert (found.name, found.namespace, found.cluster) == ("store-v2", "shop", "Kubernetes")
    assert (found.app, found.version, found.service, found.revision) == ("store", "v2", "the-store", "v2")


@pytest.mark.parametrize(
    ("labels", "service", "revision"),
    [
        ({}, "w", "latest"),
        ({"app": "a"}, "a", "latest"),
        ({"app": "a", "app.kubernetes.io/name": "n", "app.kubernetes.io/version": "7", "version": "8"}, "n", "7"),
        ('{"app": "written"}', "written", "latest"),
        ("nonsense", "w", "latest"),
        (None, "w", "latest"),
    ],
)
def test_canonical_names_come_from_what_there_is(labels: object, service: str, revision: str) -> None:
    found = of_metadata({"WORKLOAD_NAME": "w", "LABELS": labels})
    assert (found.service, found.revision) == (service, revision)


def test_what_is_told_is_what_protobuf_reads() -> None:
    told = Struct.FromString(base64.b64decode(header_of(METADATA)))
    assert MessageToDict(told) == {
        **{name: METADATA[name] for name in METADATA if name != "LABELS"},
        "LABELS": {
            "app": "store",
            "version": "v2",
            "service.istio.io/canonical-name": "the-store",
            "service.istio.io/canonical-revision": "v2",
        },
    }


def test_what_is_told_is_understood() -> None:
    assert parts(of_header(header_of(METADATA))) == parts(of_metadata(METADATA))
    value = {**METADATA, "MORE": 1.5, "FLAG": True, "LIST": ["a"], "NONE": None}
    assert parts(of_header(header(value))) == parts(of_metadata(METADATA))


VALUES = st.recursive(
    st.text() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner),
    max_leaves=8,
)
LABELS = st.dictionaries(st.sampled_from(["app", "version", "x"]), st.text(), max_size=3)


@given(st.dictionaries(st.text(), VALUES), st.text(), LABELS)
def test_anything_that_is_written_is_read(others: dict[str, object], name: str, labels: dict[str, str]) -> None:
    value = {**others, "WORKLOAD_NAME": name, "LABELS": labels, "NAMESPACE": "n", "CLUSTER_ID": "c"}
    expected = of_metadata({"WORKLOAD_NAME": name, "LABELS": labels, "NAMESPACE": "n", "CLUSTER_ID": "c"})
    encoded = header(value)
    if len(encoded) <= 16384 and not _deep(others):
        assert parts(of_header(encoded)) == parts(expected)


def _deep(value: object, depth: int = 0) -> bool:
    return depth > 3 or (isinstance(value, dict) and any(_deep(one, depth + 1) for one in value.values()))


@given(st.binary(max_size=200))
def test_anybody_may_send_anything(data: bytes) -> None:
    assert isinstance(of_header(data), Workload)
    assert isinstance(of_header(base64.b64encode(data)), Workload)


def test_what_is_too_long_is_not_read() -> None:
    assert of_header(b"A" * 20000) is NOBODY
    assert of_header(b"") is NOBODY


def test_a_host_says_who_it_is() -> None:
    found = of_endpoint((("workload", "store-v2;shop;store;v2;cluster"),))
    assert dict(found.labels("destination")) == {
        "destination_workload": "store-v2",
        "destination_workload_namespace": "shop",
        "destination_app": "store",
        "destination_version": "v2",
        "destination_cluster": "cluster",
        "destination_canonical_service": "store",
        "destination_canonical_revision": "v2",
    }
    assert of_endpoint(()) is NOBODY
    assert set(dict(of_endpoint((("workload", ";;;;gateway"),)).labels("source")).values()) == {"unknown", "gateway"}
