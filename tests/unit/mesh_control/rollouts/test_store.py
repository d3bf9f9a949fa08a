"""What is remembered of releases is read back as it was, or told by the file's name."""

from pathlib import Path

import pytest

from mesh_control.rollouts.store import Store, StoreError
from mesh_policy import CanaryRelease, Timeout
from mesh_policy.releases import Cookie, ErrorRate, Weight
from mesh_policy.releases.machine import Order, Reading, Rollout, State

LIMIT = ErrorRate("> 10%")
ROLLOUT = Rollout(
    release=CanaryRelease(
        service="books", stable="v1", candidate="v2", steps=(Weight(5),), abort=LIMIT, sticky=Cookie("c", ttl="1h")
    ),
    statements=(Timeout(service="books", after="3s"),),
)
STATE = ROLLOUT.order(State(), Order.START, 1.5)[0].model_copy(
    update={"held": 0.1, "readings": {str(LIMIT): Reading(requests=3, value=1 / 3)}}
)


def test_another_store_over_the_file_knows_the_same(tmp_path: Path) -> None:
    file = tmp_path / "rollouts.sqlite"
    Store(file).put(ROLLOUT, State())
    Store(file).put(ROLLOUT, STATE)
    assert Store(file).all() == {"books.default": (ROLLOUT, STATE)}
    Store(file).remove("books.default")
    Store(file).remove("books.default")
    assert Store(file).all() == {}


def test_what_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "rollouts.sqlite"
    file.write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match=r"rollouts\.sqlite"):
        Store(file)
    with pytest.raises(StoreError, match="missing"):
        Store(tmp_path / "missing" / "rollouts.sqlite")


def test_a_state_that_is_none_names_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "rollouts.sqlite")
    with store._open() as database:
        database.execute("INSERT INTO rollouts VALUES ('a', '{}', '{}')")
    with pytest.raises(StoreError, match=r"rollouts\.sqlite: "):
        store.all()
