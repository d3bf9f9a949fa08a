"""What was sent and taken, in Envoy's and istiod's shapes."""

import pytest

from mesh_api.config import Cluster, ClusterType
from mesh_api.xds.encode import encode_resource
from mesh_api.xds.session import TypeStatus
from mesh_api.xds.type_urls import ADS_ORDER, CLUSTER, ROUTE
from mesh_control.config_dump import config_dump, state_of, syncz_row
from tests.unit.mesh_control.worlds import STORE

TAKEN = TypeStatus(True, "2", "2", False, "")


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (TAKEN, "SYNCED"),
        (TypeStatus(True, "2", "1", True, ""), "STALE"),
        (TypeStatus(True, "2", "1", False, "no"), "NACKED"),
        (TypeStatus(False, "", "", False, ""), "NOT SENT"),
    ],
)
def test_words(status: TypeStatus, word: str) -> None:
    assert state_of(status) == word


def test_a_dump_has_what_was_taken_and_says_what_was_refused() -> None:
    status = {**dict.fromkeys(ADS_ORDER, TAKEN), ROUTE: TypeStatus(True, "3", "2", False, "80: too long")}
    taken = {**{url: {} for url in ADS_ORDER}, CLUSTER: {"a": encode_resource(Cluster("a", ClusterType.STATIC))}}
    clusters, _, routes, _ = config_dump(taken, status)["configs"]
    (active,) = clusters["dynamic_active_clusters"]
    assert (active["version_info"], active["cluster"]["name"]) == ("2", "a")
    assert (routes["state"], routes["error_state"]) == ("NACKED", {"details": "80: too long"})


def test_a_row_of_syncz_is_istiods() -> None:
    status = {**dict.fromkeys(ADS_ORDER, TAKEN), ROUTE: TypeStatus(True, "3", "2", False, "80: too long")}
    row = syncz_row("store.default", status, STORE)
    assert (row["proxy"], row["proxy_type"]) == (STORE.id, "sidecar")
    assert (row["cluster_sent"], row["cluster_acked"]) == ("2", "2")
    assert (row["route_sent"], row["route_acked"]) == ("3", "2")
    assert row["resources"][ROUTE]["lastError"] == "80: too long"
