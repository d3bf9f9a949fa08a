"""Who proves nothing takes nobody else's place."""

import pytest

from mesh_control.ca.guests import TOLD_SECONDS, Guests, place_of


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:ffff::2", "2001:db8:0:1::/64"),
        ("2001:db8:0:2::1", "2001:db8:0:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_what_is_counted_as_one(address: str, place: str) -> None:
    assert place_of(address) == place


def test_one_place_leaves_room_for_others() -> None:
    guests = Guests(most=10, per_place=3)
    assert [guests.enter("a") for _ in range(5)] == ["", "", "", "address", "address"]
    assert guests.enter("b") == ""
    guests.leave("a", proven=False)
    assert [guests.enter("a"), guests.enter("a")] == ["", "address"]


def test_who_has_proven_is_counted_no_more_for_the_place() -> None:
    guests = Guests(most=6, per_place=2)
    for _ in range(6):
        assert guests.enter("a") == ""
        guests.proven("a")
    assert guests.enter("a") == "all"
    guests.leave("a", proven=True)
    assert guests.enter("a") == ""


def test_what_was_refused_is_told_once_a_minute_with_who_it_was() -> None:
    guests = Guests()
    assert guests.refused("a", "address", 5.0) == (
        "1 connections were refused or ended that proved nothing: 1 of a (address)"
    )
    for _ in range(1000):
        assert guests.refused("a", "address", 6.0) == ""
    assert guests.refused("b", "silent", 7.0) == ""
    told = guests.refused("b", "silent", 5.0 + TOLD_SECONDS)
    assert told.endswith(
        "1002 connections were refused or ended that proved nothing: 1000 of a (address), 2 of b (silent)"
    )
