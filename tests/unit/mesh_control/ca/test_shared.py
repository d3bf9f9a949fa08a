"""One authority of several replicas, as a machine: in any order of what they do, everybody trusts everybody."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from mesh_control.ca import given, pem, shared
from mesh_control.ca.authority import Authority, AuthorityError, Caller, Terms
from mesh_control.ca.certificates import Signer, make_root
from mesh_control.ca.rotation import Phase, Trust
from mesh_control.ca.shared import LAG, STATE, Rules, Shared, SharedError
from mesh_control.ca.sharing import GIVEN, PlaceError, Sharing, Stored
from mesh_control.ca.store import Store
from mesh_control.ca.tokens import Grant
from tests.support.certificate_client import request_pem
from tests.support.given_files import Offline

NOW = 1_800_000_000.0
DAY = 86400.0
SECRET = "istio-ca-secret"
ROOTS = [make_root("cluster.local", pem.new_key(), NOW - 1, 100_000 * DAY) for _ in range(40)]
OFFLINE = Offline.made()


@dataclass
class Places:
    """The Secrets of a namespace, and what goes wrong with them."""

    secrets: dict[str, tuple[dict[str, bytes], int]] = field(default_factory=dict)
    versions: int = 0
    cut_off: bool = False
    before_write: list[object] = field(default_factory=list)
    """What others do between a read and the write that follows it."""

    async def read(self, name: str) -> Stored | None:
        if self.cut_off:
            raise PlaceError(0, "no connection")
        found = self.secrets.get(name)
        return None if found is None else Stored(dict(found[0]), str(found[1]))

    async def write(self, name: str, data: Mapping[str, bytes], version: str) -> None:
        while self.before_write:
            act = self.before_write.pop()
            assert callable(act)
            await act()
        present = self.secrets.get(name)
        if version != ("" if present is None else str(present[1])):
            raise PlaceError(409, "conflict")
        self.put(name, {**(present[0] if present is not None else {}), **data})

    def put(self, name: str, data: Mapping[str, bytes]) -> None:
        self.versions += 1
        self.secrets[name] = dict(data), self.versions


@dataclass
class Time:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def rules(seconds: float = DAY, margin: float = 120.0, roots: list[Signer] | None = None) -> Rules:
    left = list(ROOTS) if roots is None else roots
    return Rules("Secret a/b", seconds, margin, lambda now: left.pop(0), lambda: f"{random.random()}")


def replica(places: Places, clock: Time, made: Rules | None = None, *, leads: bool = False) -> Sharing:
    return Sharing(places, SECRET, made or rules(), clock, lambda: leads)


def content(signer: Signer) -> dict[str, bytes]:
    return {
        given.CERTIFICATE: pem.write_certificates((signer.certificate,)).encode(),
        given.KEY: pem.write_key(signer.key),
        given.CHAIN: pem.write_certificates(signer.chain).encode(),
        given.ROOTS: pem.write_certificates(signer.roots).encode(),
    }


def phases(found: Shared | None) -> dict[str, Phase]:
    assert found is not None
    return {member.name: member.phase for member in found.trust.members}


def run(places: Places, *sharings: Sharing) -> None:
    async def turns() -> None:
        for sharing in sharings:
            await sharing.turn()
            assert not sharing.problem

    asyncio.run(turns())


def test_the_first_makes_the_secret_with_istios_names_and_the_next_read_it() -> None:
    places, clock = Places(), Time()
    one, two = replica(places, clock), replica(places, clock, rules(roots=[]))
    first = asyncio.run(one.begin())
    second = asyncio.run(two.begin())
    data = places.secrets[SECRET][0]
    assert shared.written(first) == shared.written(second) == data
    assert second.signer.certificate == ROOTS[0].certificate
    assert set(data) == {given.CERTIFICATE, given.KEY, given.CHAIN, given.ROOTS, STATE}
    read = given.of(data, "secret", NOW)
    assert (read.name, read.roots) == (first.signer.name, ROOTS[0].roots)
    run(places, one, two)
    assert places.versions == 1, "what is right is not written"


def test_who_is_second_to_make_it_uses_what_the_first_made() -> None:
    places, clock = Places(), Time()
    one, two = replica(places, clock), replica(places, clock, rules(roots=[ROOTS[5], ROOTS[6]]))
    places.before_write.append(two.begin)
    asyncio.run(one.begin())
    assert phases(one.known) == phases(two.known) == {ROOTS[5].name: Phase.CURRENT}


def test_a_rotation_from_end_to_end() -> None:
    places, clock = Places(), Time()
    leader, other = replica(places, clock, leads=True), replica(places, clock, rules(roots=[ROOTS[9]]))
    run(places, leader, other)
    asyncio.run(other.rotate())
    run(places, leader)
    old, new = ROOTS[0].name, ROOTS[9].name
    assert phases(leader.known) == {old: Phase.CURRENT, new: Phase.NEXT}
    data = places.secrets[SECRET][0]
    assert given.of(data, "", NOW).certificate == ROOTS[0].certificate
    assert pem.read_certificates(data[given.ROOTS]) == (*ROOTS[0].roots, *ROOTS[9].roots), "a fresh one trusts both"
    turn = DAY * (1 + 2 * LAG) + 120
    clock.now = NOW + turn - 1
    run(places, leader, other)
    assert phases(leader.known)[new] is Phase.NEXT
    clock.now = NOW + turn
    run(places, other)
    assert phases(other.known)[new] is Phase.NEXT, "the leader alone does what is due"
    run(places, leader, other)
    assert phases(other.known) == {old: Phase.RETIRING, new: Phase.CURRENT}
    assert pem.write_key(ROOTS[0].key) not in b"".join(places.secrets[SECRET][0].values())
    clock.now += turn
    run(places, leader, other)
    assert phases(other.known) == {new: Phase.CURRENT}


def test_one_that_has_not_heard_of_it_signs_for_a_while_and_is_waited_for() -> None:
    mesh = Mesh()
    mesh.check()
    mesh.rotate(mesh.leader)
    for hours in (3, 9, 9, 6):  # the first certificates expire after 24, the last of those that had not heard after 27
        mesh.pass_time(hours)
        mesh.check()
    assert ROOTS[1].name in phases(mesh.replicas[0].known)
    for _ in range(2):
        mesh.pass_time(8)
        mesh.turn(1)
        mesh.turn(2)
        mesh.check()
    assert phases(mesh.replicas[2].known)[ROOTS[1].name] is Phase.CURRENT


def test_two_that_rotate_at_the_same_time_make_one_root() -> None:
    places, clock = Places(), Time()
    one, two = replica(places, clock), replica(places, clock, rules(roots=[ROOTS[7]]))
    run(places, one, two)
    places.before_write.append(two.rotate)
    with pytest.raises(AuthorityError, match="is about to sign; one rotation after another"):
        asyncio.run(one.rotate())
    run(places, one)
    assert phases(one.known) == {ROOTS[0].name: Phase.CURRENT, ROOTS[7].name: Phase.NEXT}


def test_the_leader_alone_makes_the_next_one_when_it_is_due() -> None:
    old = make_root("cluster.local", pem.new_key(), NOW, 100 * DAY)
    places, clock = Places(), Time()
    leader = replica(places, clock, rules(roots=[old, ROOTS[1]]), leads=True)
    other = replica(places, clock, rules(roots=[]))
    run(places, leader, other)
    clock.now += 85 * DAY
    run(places, other, leader)
    assert phases(leader.known) == {old.name: Phase.CURRENT, ROOTS[1].name: Phase.NEXT}


def test_an_authority_in_the_secret_of_istio_is_taken_over() -> None:
    for signer, is_given in ((ROOTS[3], False), (OFFLINE.intermediate(), True)):
        places, clock = Places(), Time()
        stood = content(signer) | ({} if is_given else {given.ROOTS: b"", given.CHAIN: b""})
        places.put(SECRET, {**stood, "key.pem": b""})
        one = replica(places, clock, rules(roots=[]), leads=True)
        run(places, one)
        assert one.known is not None
        assert phases(one.known) == {signer.name: Phase.CURRENT}
        assert bool(one.known.given) is is_given
        if is_given:
            with pytest.raises(AuthorityError, match="given in a Secret"):
                asyncio.run(one.rotate())


def test_what_is_put_into_its_place_signs_in_its_turn() -> None:
    places, clock, theirs = Places(), Time(), OFFLINE.intermediate()
    one = replica(places, clock, leads=True)
    run(places, one)
    for replacing in (content(theirs) | {STATE: places.secrets[SECRET][0][STATE]}, content(theirs)):
        places.put(SECRET, replacing)
        run(places, one)
        assert phases(one.known) == {ROOTS[0].name: Phase.CURRENT, theirs.name: Phase.NEXT}
        assert given.of(places.secrets[SECRET][0], "", NOW).certificate == ROOTS[0].certificate
        assert set(theirs.roots) <= set(pem.read_certificates(places.secrets[SECRET][0][given.ROOTS]))
    clock.now += 2 * DAY
    run(places, one)
    assert given.of(places.secrets[SECRET][0], "", NOW).certificate == theirs.certificate


def test_cacerts_counts_from_the_start_and_signs_in_its_turn_later() -> None:
    places, clock = Places(), Time()
    first, second = OFFLINE.intermediate(), OFFLINE.intermediate()
    places.put(GIVEN, content(first))
    leader = replica(places, clock, rules(roots=[]), leads=True)
    run(places, leader)
    assert phases(leader.known) == {first.name: Phase.CURRENT}
    places.put(GIVEN, content(second))
    run(places, replica(places, clock, rules(roots=[])))
    assert phases(shared.read(places.secrets[SECRET][0], "")) == {first.name: Phase.CURRENT}
    run(places, leader)
    assert phases(leader.known) == {first.name: Phase.CURRENT, second.name: Phase.NEXT}


def test_what_cannot_be_used_changes_nothing_and_is_told() -> None:
    places, clock = Places(), Time()
    leader = replica(places, clock, leads=True)
    run(places, leader)
    places.put(GIVEN, {given.CERTIFICATE: b"no certificate"})
    asyncio.run(leader.turn())
    assert "cacerts: ca-cert.pem" in leader.problem
    assert phases(leader.known) == {ROOTS[0].name: Phase.CURRENT}
    del places.secrets[GIVEN]
    places.put(SECRET, {**places.secrets[SECRET][0], STATE: b'{"version": 2}'})
    asyncio.run(leader.turn())
    assert "knows version 1" in leader.problem
    assert phases(leader.known) == {ROOTS[0].name: Phase.CURRENT}
    places.put(SECRET, {**places.secrets[SECRET][0], STATE: b'{"version": 1, "members": [{"key": "secret words"}]}'})
    with pytest.raises(OSError, match="cannot be used") as told:
        asyncio.run(replica(places, clock).begin())
    assert "secret words" not in str(told.value)


def test_a_secret_that_was_deleted_is_there_again() -> None:
    places, clock = Places(), Time()
    one = replica(places, clock)
    run(places, one)
    del places.secrets[SECRET]
    run(places, one)
    assert phases(shared.read(places.secrets[SECRET][0], "")) == {ROOTS[0].name: Phase.CURRENT}


def test_where_somebody_began_anew_the_former_stays_trusted() -> None:
    places, clock = Places(), Time()
    one, fresh = replica(places, clock, leads=True), replica(places, clock, rules(roots=[ROOTS[4]]))
    run(places, one)
    del places.secrets[SECRET]
    run(places, fresh, one, fresh)
    assert phases(fresh.known) == {ROOTS[4].name: Phase.CURRENT, ROOTS[0].name: Phase.RETIRING}
    clock.now += 2 * DAY
    run(places, one)
    assert phases(one.known) == {ROOTS[4].name: Phase.CURRENT}


def test_a_root_that_is_distrusted_is_gone_at_once() -> None:
    made, old = rules(), ROOTS[0].name
    first = shared.begun(ROOTS[0], made, NOW)
    with_next = shared.introduced(first, ROOTS[1], made, NOW)
    assert phases(shared.without(with_next, old, made, NOW)) == {ROOTS[1].name: Phase.CURRENT}
    assert phases(shared.without(first, old, rules(roots=[ROOTS[2]]), NOW)) == {ROOTS[2].name: Phase.CURRENT}
    theirs = OFFLINE.intermediate()
    with pytest.raises(SharedError, match="no other is there"):
        shared.without(shared.begun(theirs, made, NOW, theirs=True), theirs.name, made, NOW)


def test_the_longest_life_of_a_certificate_counts_before_one_is_given() -> None:
    places, clock = Places(), Time()
    short, long = replica(places, clock, rules(DAY)), replica(places, clock, rules(5 * DAY, roots=[]))
    run(places, short)
    run(places, long, short)
    assert short.known is not None
    assert short.known.longest == 5 * DAY


def test_what_stands_there_is_read_as_it_was_written() -> None:
    made = rules()
    one = shared.begun(ROOTS[0], made, NOW)
    two = shared.introduced(one, OFFLINE.intermediate(), made, NOW)
    three = shared.stepped(two, made, NOW + 3 * DAY)
    for each in (one, two, three):
        assert shared.written(shared.read(shared.written(each), "")) == shared.written(each)


def test_one_that_does_not_begin_says_why() -> None:
    class Forbidden(Places):
        async def read(self, name: str) -> Stored | None:
            raise PlaceError(403, f"Secret a/{name} cannot be read: forbidden")

    with pytest.raises(OSError, match=r"ca.secret: Secret a/istio-ca-secret cannot be read: forbidden"):
        asyncio.run(replica(Forbidden(), Time()).begin())


# For every order of what happens


@dataclass
class Mesh:
    """Replicas over one Secret, of which some cannot reach it now and then; workloads know what came with certificates."""

    clock: Time = field(default_factory=Time)
    places: list[Places] = field(default_factory=list)
    replicas: list[Sharing] = field(default_factory=list)
    leader: int = 0
    holders: list[tuple[float, str, frozenset[str]]] = field(default_factory=list)
    """Of each certificate that is out: until when, signed by whom, and whom its holder trusts."""
    left: list[Signer] = field(default_factory=lambda: list(ROOTS))

    def __post_init__(self) -> None:
        common = Places()
        for number in range(3):
            place = Places(common.secrets)
            made = replace(rules(roots=self.left), seconds=DAY, margin=0.0)
            self.places.append(place)
            self.replicas.append(Sharing(place, SECRET, made, self.clock, lambda number=number: self.leader == number))  # type: ignore[misc]
            asyncio.run(self.replicas[-1].begin())

    def cut(self, number: int) -> None:
        self.places[number].cut_off = not self.places[number].cut_off

    def lead(self, number: int) -> None:
        self.leader = number

    def turn(self, number: int) -> None:
        asyncio.run(self.replicas[number].turn())

    def again(self, number: int) -> None:
        """It starts anew, and remembers nothing; one that cannot read the Secret does not."""
        if not self.places[number].cut_off:
            self.replicas[number].known = None
            self.turn(number)

    def rotate(self, number: int) -> None:
        with contextlib.suppress(AuthorityError):  # where one is under way, or nothing can be read
            asyncio.run(self.replicas[number].rotate())

    def issue(self) -> None:
        for one in self.replicas:
            assert one.known is not None
            if self.clock.now - one.read_at <= LAG * DAY:  # as the authority has it
                self.holders.append((self.clock.now + DAY, one.known.signer.name, frozenset(phases(one.known))))

    def pass_time(self, hours: int) -> None:
        """The others look at other times, or cannot."""
        self.clock.now += hours * 3600.0
        self.turn(self.leader)

    def check(self) -> None:
        self.issue()
        self.holders = [holder for holder in self.holders if holder[0] > self.clock.now]
        valid = {holder[1:] for holder in self.holders}
        present = shared.read(self.places[0].secrets[SECRET][0], "")
        assert sum(member.phase is Phase.CURRENT for member in present.trust.members) == 1
        for signer, trusted in valid:
            assert signer in present.trust, "who reads the Secret now refuses a valid certificate"
            for other, _ in valid:
                assert other in trusted, "two workloads with valid certificates do not trust each other"


NUMBERS = st.integers(0, 2)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("turn", "turn", "turn", "rotate", "cut", "lead", "again")), NUMBERS),
        st.tuples(st.just("pass_time"), st.sampled_from((1, 3, 8))),
        st.tuples(st.just("pass_time"), st.sampled_from((1, 3, 8))),
    ),
    min_size=5,
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@over(EVENTS)
def test_in_any_order_of_events_everybody_trusts_everybody(events: list[tuple[str, int]]) -> None:
    mesh = Mesh()
    for kind, value in events:
        getattr(mesh, kind)(value)
        mesh.check()
    for place in mesh.places:
        place.cut_off = False
    for _ in range(3):
        mesh.pass_time(40)
        for number in (mesh.leader, 0, 1, 2):
            mesh.turn(number)
        mesh.check()
    assert len({tuple(phases(one.known)) for one in mesh.replicas}) == 1
    assert list(phases(mesh.replicas[0].known).values()) == [Phase.CURRENT], "a rotation ends"


def test_nobody_is_trusted_where_nobody_began() -> None:
    empty = Shared("", {}, DAY)
    assert empty.trust == Trust()
    with pytest.raises(SharedError, match="nobody signs"):
        _ = empty.signer


# What the authority makes of it


def test_an_authority_keeps_no_key_on_the_disk_and_lives_by_what_was_read(tmp_path: Path) -> None:
    made = rules()
    common = shared.begun(ROOTS[0], made, NOW)
    authority = Authority(Store(tmp_path / "ca"), Terms(), NOW, common=common)
    assert not list((tmp_path / "ca").glob("*.key"))
    caller = Caller(Grant("cluster.local", "default", "store"), "service account default/store")
    asked = request_pem(pem.new_key(), ["spiffe://cluster.local/ns/default/sa/store"])
    [issued, *_] = authority.issue(caller, asked, 30 * DAY, "", NOW)
    [certificate] = pem.read_certificates(issued)
    assert pem.expires(certificate) == NOW + DAY, "others count on it"
    late = NOW + LAG * DAY + 1
    for act in (lambda: authority.issue(caller, asked, 0, "", late), lambda: authority.serve(["a"], late)):
        with pytest.raises(AuthorityError, match="another one may sign by now"):
            act()
    assert authority.share(shared.introduced(common, ROOTS[1], made, late), late)
    assert len(pem.read_certificates(authority.issue(caller, asked, 0, "", late)[-1])) == 2
    assert not authority.share(shared.introduced(common, ROOTS[1], made, late), late)
    for refused in (lambda: authority.rotate(late), lambda: authority.distrust(ROOTS[0].name, late)):
        with pytest.raises(AuthorityError, match="changes in their Secret"):
            refused()
    assert not authority.tick(late)


def test_a_root_that_is_distrusted_at_one_is_gone_at_the_others(tmp_path: Path) -> None:
    places, clock = Places(), Time()
    one, two = replica(places, clock, rules(roots=[ROOTS[0], ROOTS[1]])), replica(places, clock)
    run(places, one, two)
    assert one.known is not None
    authority = Authority(Store(tmp_path / "ca"), Terms(), NOW, common=one.known)
    caller = Caller(Grant("cluster.local", "default", "store"), "service account default/store")
    authority.issue(caller, request_pem(pem.new_key(), ["spiffe://cluster.local/ns/default/sa/store"]), 0, "", NOW)
    broken = asyncio.run(one.distrust(authority, ROOTS[0].name[:12]))
    assert list(broken.signed) == ["spiffe://cluster.local/ns/default/sa/store"]
    run(places, two)
    assert phases(two.known) == phases(one.known) == {ROOTS[1].name: Phase.CURRENT}
    with pytest.raises(AuthorityError, match="none of the roots"):
        asyncio.run(two.distrust(authority, ROOTS[0].name))
