"""A root that is trusted no more before its time: what it breaks, and who signs then."""

import json
import logging
from pathlib import Path

import pytest

from mesh_control.ca import pem
from mesh_control.ca.authority import Authority, AuthorityError, Caller, Terms
from mesh_control.ca.rotation import Phase
from mesh_control.ca.store import Store
from mesh_control.ca.tokens import Grant
from tests.support.certificate_client import request_pem
from tests.support.given_files import Offline

NOW = 1_800_000_000.0
DAY = 86400.0
STORE, ORDER = (f"spiffe://cluster.local/ns/default/sa/{name}" for name in ("store", "order"))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(Store(tmp_path / "ca"), Terms(), NOW)


def certified(authority: Authority, name: str, now: float) -> str:
    """Returns the serial of a new certificate."""
    caller = Caller(Grant("cluster.local", "default", name), "a proof")
    chain = authority.issue(caller, request_pem(pem.new_key(), []), 0.0, "", now)
    (leaf,) = pem.read_certificates(chain[0])
    return f"{leaf.serial_number:x}"


def names(authority: Authority) -> dict[Phase, str]:
    return {member.phase: member.name for member in authority.trust.members}


def test_a_former_root_goes_at_once_and_takes_its_certificates_along(authority: Authority) -> None:
    old = certified(authority, "store", NOW)
    authority.rotate(NOW)
    turn = NOW + DAY + 3600
    certified(authority, "store", turn - 10)
    authority.tick(turn)
    certified(authority, "order", turn)
    retiring, current = names(authority)[Phase.RETIRING], names(authority)[Phase.CURRENT]
    foreseen = authority.broken_without(retiring[:12], turn)
    assert (foreseen.name, foreseen.phase, foreseen.strangers) == (retiring, "retiring", {})
    assert foreseen.signed == {STORE: turn - 10 + DAY}
    assert authority.distrust(retiring, turn) == foreseen
    assert names(authority) == {Phase.CURRENT: current}
    assert authority.bundle().count("BEGIN CERTIFICATE") == 1
    assert authority.is_revoked(old)


def test_of_the_one_that_signs_the_next_takes_the_place_though_not_everybody_knows_it(authority: Authority) -> None:
    certified(authority, "store", NOW)
    following = authority.rotate(NOW + 10).name
    certified(authority, "order", NOW + 20)
    broken = authority.distrust(names(authority)[Phase.CURRENT], NOW + 30)
    assert set(broken.signed) == {STORE, ORDER}
    assert names(authority) == {Phase.CURRENT: following}
    assert authority.signer().name == following


def test_without_a_next_one_another_is_made_and_whoever_stays_does_not_know_it(authority: Authority) -> None:
    authority.rotate(NOW)
    certified(authority, "store", NOW)
    turn = NOW + 2 * DAY
    authority.tick(turn)
    certified(authority, "order", turn)
    first = names(authority)[Phase.CURRENT]
    broken = authority.broken_without(first, turn)
    assert (set(broken.signed), broken.strangers) == ({ORDER}, {})
    authority.distrust(first, turn)
    assert names(authority)[Phase.CURRENT] != first
    fresh = certified(authority, "order", turn + 1)
    assert not authority.is_revoked(fresh)


def test_who_knows_the_next_one_is_no_stranger(authority: Authority) -> None:
    certified(authority, "store", NOW)
    authority.rotate(NOW)
    turn = NOW + DAY + 3600
    certified(authority, "store", NOW + DAY - 10)
    authority.tick(turn)
    certified(authority, "order", turn)
    authority.rotate(turn + 10)  # store's last certificate was given out before this one was there
    broken = authority.broken_without(names(authority)[Phase.CURRENT], turn + 20)
    assert (set(broken.signed), set(broken.strangers)) == ({ORDER}, {STORE})


def test_it_stands_in_the_audit_log(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    certified(authority, "store", NOW)
    root = names(authority)[Phase.CURRENT]
    with caplog.at_level(logging.INFO, "mesh_control.ca.audit"):
        authority.distrust(root, NOW)
    (line,) = [json.loads(record.message) for record in caplog.records if "distrusted" in record.message]
    assert line == {"event": "root distrusted", "root": root, "phase": "current", "broken": [STORE], "at": NOW}


def test_names_that_are_none_or_several(authority: Authority) -> None:
    for name in ("", "zz"):
        with pytest.raises(AuthorityError, match="none of the roots"):
            authority.broken_without(name, NOW)


def test_of_a_given_authority_another_has_to_be_there(tmp_path: Path) -> None:
    offline = Offline.made()
    given = Authority(Store(tmp_path / "ca"), Terms(), NOW, offline.intermediate())
    name = names(given)[Phase.CURRENT]
    with pytest.raises(AuthorityError, match="given as files"):
        given.distrust(name, NOW)
    given.adopt(offline.intermediate(), NOW)
    with pytest.raises(AuthorityError, match="leads to the same root"):
        given.distrust(name, NOW)


def test_it_is_the_same_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    authority = Authority(store, Terms(), NOW)
    authority.distrust(names(authority)[Phase.CURRENT], NOW)
    bundle = authority.bundle()
    store.close()
    assert Authority(Store(tmp_path / "ca"), Terms(), NOW).bundle() == bundle
    assert len(list((tmp_path / "ca").glob("*.key"))) == 1
