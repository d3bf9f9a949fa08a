"""What is remembered, who may open it, and what is found after a crash at the worst moment."""

import os
import stat
from pathlib import Path

import pytest

from mesh_control.ca import pem
from mesh_control.ca.authority import Authority, Terms
from mesh_control.ca.certificates import make_root
from mesh_control.ca.rotation import Phase, Trust, introduce
from mesh_control.ca.store import DATABASE, Issued, Store, StoreError
from mesh_control.ca.tokens import Grant, create

NOW = 1_800_000_000.0
GRANT = Grant("cluster.local", "default", "store")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "ca")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_its_owner_opens_it_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        authority = Authority(Store(tmp_path / "ca"), Terms(), NOW)
        authority.create_token("default/store", 60, 1, "", NOW)
    finally:
        os.umask(before)
    assert mode(tmp_path / "ca") == 0o700
    found = {path.name: mode(path) for path in (tmp_path / "ca").iterdir()}
    assert set(found.values()) == {0o600}, found
    assert sum(name.endswith(".key") for name in found) == 1


@pytest.mark.parametrize("name", ["folder", "database", "key"])
def test_what_others_could_open_is_not_used(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "ca")
    Authority(store, Terms(), NOW)
    [key] = (tmp_path / "ca").glob("*.key")
    store.close()
    {"folder": tmp_path / "ca", "database": tmp_path / "ca" / DATABASE, "key": key}[name].chmod(0o755)
    with pytest.raises(StoreError, match="others could have opened it"):
        Authority(Store(tmp_path / "ca"), Terms(), NOW)


def test_for_one_process_at_a_time(tmp_path: Path, store: Store) -> None:
    with pytest.raises(StoreError, match="in use by another control plane"):
        Store(tmp_path / "ca")
    store.close()
    Store(tmp_path / "ca").close()


def test_keys_without_their_database_are_not_swept_away(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    Authority(store, Terms(), NOW)
    store.close()
    for path in (tmp_path / "ca").glob(f"{DATABASE}*"):
        path.unlink()
    with pytest.raises(StoreError, match="is gone, and keys are there"):
        Store(tmp_path / "ca")
    assert len(list((tmp_path / "ca").glob("*.key"))) == 1


def test_a_key_that_is_gone_or_another_is_told(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    Authority(store, Terms(), NOW)
    store.close()
    [key] = (tmp_path / "ca").glob("*.key")
    key.write_bytes(pem.write_key(pem.new_key()))
    again = Store(tmp_path / "ca")
    with pytest.raises(StoreError, match="is not the key of the certificate"):
        Authority(again, Terms(), NOW)
    again.close()
    key.unlink()
    with pytest.raises(StoreError, match="No such file or directory; what it signs for is current"):
        Authority(Store(tmp_path / "ca"), Terms(), NOW)


def test_a_database_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir(mode=0o700)
    (tmp_path / "ca" / DATABASE).write_text("no database, whatever is in it, and long enough to be looked at")
    (tmp_path / "ca" / DATABASE).chmod(0o600)
    with pytest.raises(StoreError, match=DATABASE):
        Store(tmp_path / "ca")


def test_a_crash_between_a_key_and_its_row_leaves_nothing(tmp_path: Path, store: Store) -> None:
    """The key of a root is written, then the process is gone."""
    authority = Authority(store, Terms(), NOW)
    names = [member.name for member in authority.trust.members]
    lost = make_root("cluster.local", pem.new_key(), NOW)
    (tmp_path / "ca" / f"{lost.name}.key").write_bytes(pem.write_key(lost.key))
    (tmp_path / "ca" / f"{lost.name}.new").write_bytes(b"half a key")
    store.close()
    again = Authority(Store(tmp_path / "ca"), Terms(), NOW)
    assert [member.name for member in again.trust.members] == names
    assert [path.stem for path in (tmp_path / "ca").glob("*.*") if path.suffix in (".key", ".new")] == names


def test_a_crash_between_a_row_and_its_key_leaves_no_key_of_who_signs_no_more(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    first, second = (make_root("cluster.local", pem.new_key(), NOW) for _ in range(2))
    trust = introduce(Trust(), first.name, NOW, first.expires, NOW, 0.0, 0.0)
    store.put_trust(trust, first)
    store.put_trust(introduce(trust, second.name, NOW, second.expires, NOW, 0.0, 0.0), second)
    old = (tmp_path / "ca" / f"{first.name}.key").read_bytes()
    records = store.records()
    records[first.name].member = records[first.name].member.__class__(first.name, NOW, NOW, Phase.RETIRING, NOW + 60)
    records[second.name].member = records[second.name].member.__class__(
        second.name, NOW, second.expires, Phase.CURRENT, NOW
    )
    store.put_trust(Trust(tuple(record.member for record in records.values())))
    assert not (tmp_path / "ca" / f"{first.name}.key").exists()
    (tmp_path / "ca" / f"{first.name}.key").write_bytes(old)
    store.close()
    Authority(Store(tmp_path / "ca"), Terms(), NOW)
    assert [path.stem for path in (tmp_path / "ca").glob("*.key")] == [second.name]


def test_a_transaction_that_fails_changes_nothing(store: Store) -> None:
    _, token = create(GRANT, NOW, 60.0)
    store.add_token(token)

    def fail() -> None:
        with store.transaction():
            assert store.use_token(token, b"key")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert store.tokens() == [(token, 0)]


def test_uses_are_keys(store: Store) -> None:
    _, token = create(GRANT, NOW, 60.0, uses=2)
    store.add_token(token)
    with store.transaction():
        assert [store.use_token(token, key) for key in (b"a", b"b", b"a", b"c", b"b")] == [
            True,
            True,
            True,
            False,
            True,
        ]
    assert store.tokens() == [(token, 2)]


def test_the_audit_log(store: Store) -> None:
    rows = [
        Issued(f"{n:x}", "root", "spiffe://td/ns/a/sa/b", "proof", "t" if n % 2 else "", "", NOW, NOW + n)
        for n in range(1, 5)
    ]
    with store.transaction():
        for row in rows:
            store.add_issued(row)
    assert store.outstanding() == NOW + 4
    assert store.signed_until() == {"root": NOW + 4}
    assert store.valid(NOW + 2) == rows[2:]
    assert store.revoke_issued("t", NOW + 2) == 1, "the other one has expired"
    found = store.issued("3")
    assert found is not None
    assert found.revoked == NOW + 2
    store.forget(NOW + 3)
    assert [row.serial for row in store.valid(0.0)] == ["3", "4"]
