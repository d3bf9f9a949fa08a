"""One authority of several replicas: what of it stands in a Secret that all of them read, and how it changes. Pure.

Whoever changes it writes the whole for the version that was read, so that of two changes one comes first, and the other one
is thought over again. A replica signs with what it read last, and not at all when that was longer ago than :data:`LAG` of a
certificate's life. So a root that is written now is trusted by all of whom a certificate is given from then on, and by
everybody when the last certificate has expired that was given out before: then it signs
(:mod:`~mesh_control.ca.rotation`). Which certificates a replica gave out nobody else knows, so the longest life counts that
any replica gives to one.

Times are seconds since 1970.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mesh_control.ca import given, pem, rotation, told
from mesh_control.ca.certificates import Signer
from mesh_control.ca.given import CERTIFICATE, CHAIN, KEY, ROOTS
from mesh_control.ca.pem import PemError
from mesh_control.ca.rotation import Member, Phase, Trust
from mesh_control.ca.store import Record
from mesh_policy import json_text

STATE = "meshwright.json"
"""The Secret's entry with everyone that is trusted, beside Istio's four, which have who signs now."""
LAG = 1 / 6
"""Part of a certificate's life for which a replica goes on signing without having read the Secret, and within which what was
read is thought about and written, or given up."""
CACERTS = "the Secret cacerts"
Data = Mapping[str, bytes]


class SharedError(ValueError):
    """What stands there cannot be used, or what is asked cannot be done; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all replicas agree on. ``longest`` is the longest life (seconds) that one of them gives a certificate; ``given``
    names those that somebody gave, which are not followed by one that is made. ``lineage`` tells it from any that began
    without knowing of it."""

    lineage: str
    records: Mapping[str, Record]
    longest: float
    given: frozenset[str] = frozenset()

    @property
    def trust(self) -> Trust:
        """Everyone that is trusted."""
        return Trust(tuple(record.member for record in self.records.values()))

    @property
    def signer(self) -> Signer:
        """Who signs."""
        current = self.trust.current
        found = None if current is None else self.records[current.name].signer
        if found is None:
            raise SharedError("nobody signs")
        return found

    @property
    def wait(self) -> float:
        """Seconds after which the last certificate has expired that any replica gives out by what was true until now."""
        return self.longest * (1 + 2 * LAG)

    def with_trust(self, trust: Trust, fresh: Signer | None = None) -> "Shared":
        """With exactly these members, of whom the ``fresh`` one is new. Who is retiring has no key any more."""
        records = {m.name: _record_of(m, fresh, self.records) for m in trust.members}
        return replace(self, records=records, given=self.given & frozenset(records))


def _record_of(member: Member, fresh: Signer | None, known: Mapping[str, Record]) -> Record:
    if fresh is not None and member.name == fresh.name:
        return Record(member, fresh, pem.write_certificates(fresh.roots))
    record = known[member.name]
    return Record(member, None if member.phase is Phase.RETIRING else record.signer, record.roots)


@dataclass(frozen=True, slots=True)
class Rules:
    """``place`` names the Secret; ``seconds`` is the longest life that this replica gives a certificate, ``margin`` by how
    much clocks may differ. ``make`` makes a root of our own."""

    place: str
    seconds: float
    margin: float
    make: Callable[[float], Signer]
    lineage: Callable[[], str]


# What is done


def begun(signer: Signer, rules: Rules, now: float, *, theirs: bool | None = False) -> Shared:
    """Where nobody was trusted before: it signs at once."""
    return introduced(Shared(rules.lineage(), {}, rules.seconds), signer, rules, now, theirs=theirs)


def introduced(shared: Shared, signer: Signer, rules: Rules, now: float, *, theirs: bool | None = None) -> Shared:
    """Trust a new one, which signs in its turn; or take over the chain and roots of one that is known.

    ``theirs``: somebody gave it; by default where it does not sign itself. Raises :class:`SharedError` for one that has had
    its turn.
    """
    known = shared.records.get(signer.name)
    if known is not None:
        if known.signer is None:
            raise SharedError(f"{rules.place}: {told.short(signer.name)} was replaced before; give another")
        roots = pem.write_certificates(signer.roots)
        return replace(shared, records={**shared.records, signer.name: Record(known.member, signer, roots)})
    begins, expires = pem.begins(signer.certificate), signer.expires
    trust = rotation.introduce(shared.trust, signer.name, begins, expires, now, now + shared.wait, rules.margin)
    made = shared.with_trust(trust, signer)
    is_given = signer.certificate not in signer.roots if theirs is None else theirs
    return replace(made, given=made.given | {signer.name}) if is_given else made


def rotated(shared: Shared, rules: Rules, now: float) -> Shared:
    """With a new root of our own, that will sign in its turn. Raises :class:`SharedError`."""
    if shared.given:
        raise SharedError("the authority was given in a Secret: put another one there, and it will be used")
    if shared.trust.next is not None:
        raise SharedError(f"{told.short(shared.trust.next.name)} is about to sign; one rotation after another")
    return introduced(shared, rules.make(now), rules, now, theirs=False)


def stepped(shared: Shared, rules: Rules, now: float) -> Shared:
    """Everything that is due: the next one signs, retired ones go."""
    current = shared.trust.current
    signed = {} if current is None else {current.name: now + shared.wait}
    after = rotation.step(shared.trust, now, signed, rules.margin)
    return shared if after == shared.trust else shared.with_trust(after)


def without(shared: Shared, name: str, rules: Rules, now: float) -> Shared:
    """A root is trusted no more, at once; where it signed, the next one does, or one that is made. Raises
    :class:`SharedError`."""
    after = shared.with_trust(rotation.without(shared.trust, name, now))
    if after.trust.current is not None:
        return after
    if name in shared.given:
        raise SharedError("the authority was given in a Secret, and no other is there to sign: give another")
    return introduced(after, rules.make(now), rules, now, theirs=False)


def joined(shared: Shared, former: Shared, rules: Rules, now: float) -> Shared:
    """Where somebody began anew without knowing of us: whom we trusted stays trusted as long as what it signed may last."""
    turn = now + former.wait + rules.margin
    kept = {
        name: Record(replace(record.member, phase=Phase.RETIRING, turn=turn), None, record.roots)
        for name, record in former.records.items()
        if name not in shared.records
    }
    return replace(shared, records={**shared.records, **kept}, longest=max(shared.longest, former.longest))


# What is to stand there


def wanted(
    found: Data | None, others: Data | None, former: Shared | None, rules: Rules, now: float, *, leads: bool
) -> Shared:
    """What is to be true, by what was ``found`` in the Secret, what stands in the Secret ``cacerts`` (``others``), and what
    this replica knew before. Who ``leads`` does what is due. Raises :class:`SharedError` when there is nothing to go by."""
    shared = _present(found, others, former, rules, now)
    if rules.seconds > shared.longest:
        shared = replace(shared, longest=rules.seconds)
    if not leads:
        return shared
    if not others and not shared.given and rotation.due(shared.trust, now):
        shared = rotated(shared, rules, now)
    return stepped(shared, rules, now)


def adopted(
    shared: Shared, found: Data | None, others: Data | None, rules: Rules, now: float, *, leads: bool
) -> Shared:
    """With whom somebody else has put there: into the place of who signs, or into ``cacerts``. Raises :class:`SharedError`
    for what cannot be used: then that stays as it is, and nothing changes."""
    if found and (signer := _foreign(found, shared, rules, now)) is not None:
        shared = introduced(shared, signer, rules, now)
    if others and leads:
        shared = introduced(shared, _given(others, CACERTS, now), rules, now, theirs=True)
    return shared


def _present(found: Data | None, others: Data | None, former: Shared | None, rules: Rules, now: float) -> Shared:
    if found and STATE in found:
        shared = read(found, rules.place)
        return shared if former is None or former.lineage == shared.lineage else joined(shared, former, rules, now)
    if former is not None:
        return former
    if found and found.get(CERTIFICATE):
        return begun(_given(found, rules.place, now), rules, now, theirs=None)
    return begun(_given(others, CACERTS, now) if others else rules.make(now), rules, now, theirs=bool(others))


def _foreign(found: Data, shared: Shared, rules: Rules, now: float) -> Signer | None:
    """Who stands in the place of who signs, and is somebody else."""
    text = found.get(CERTIFICATE, b"")
    if not text or text == written(shared)[CERTIFICATE]:
        return None
    signer = _given(found, rules.place, now)
    return None if signer.name in shared.records else signer


def _given(texts: Data, place: str, now: float) -> Signer:
    try:
        return given.of(texts, place, now)
    except given.GivenError as error:
        raise SharedError(str(error)) from None


# How it is written down


def bundle(records: Iterable[Record]) -> str:
    """Every root of some members, in PEM; that of the one that signs is the first."""
    order = (Phase.CURRENT, Phase.NEXT, Phase.RETIRING)
    ranked = sorted(records, key=lambda record: order.index(record.member.phase))
    return pem.write_certificates(
        tuple(dict.fromkeys(root for record in ranked for root in pem.read_certificates(record.roots)))
    )


def written(shared: Shared) -> dict[str, bytes]:
    """The Secret's content. Equal ones are written alike."""
    signer = shared.signer
    members = [_member(record, record.member.name in shared.given) for record in shared.records.values()]
    members.sort(key=lambda member: str(member["name"]))
    state = {"version": 1, "lineage": shared.lineage, "longest": shared.longest, "members": members}
    return {
        CERTIFICATE: pem.write_certificates((signer.certificate,)).encode(),
        KEY: pem.write_key(signer.key),
        CHAIN: pem.write_certificates(signer.chain).encode(),
        ROOTS: bundle(shared.records.values()).encode(),
        STATE: json.dumps(state, sort_keys=True).encode(),
    }


def _member(record: Record, is_given: bool) -> dict[str, Any]:
    member, signer = record.member, record.signer
    told: dict[str, Any] = {"name": member.name, "phase": member.phase.value, "turn": member.turn, "given": is_given}
    told |= {"begins": member.begins, "expires": member.expires, "roots": record.roots}
    if signer is not None:
        told["certificate"] = pem.write_certificates((signer.certificate,))
        told["chain"] = pem.write_certificates(signer.chain)
        told["key"] = pem.write_key(signer.key).decode()
    return told


def read(found: Data, place: str) -> Shared:
    """What :func:`written` wrote. Raises :class:`SharedError`, whose message quotes none of it."""
    try:
        state = json_text.parse(found[STATE].decode())
        if state["version"] != 1:
            raise SharedError(
                f"{place}: {STATE}: is of version {state['version']!r}; this control plane knows version 1"
            )
        records = {str(item["name"]): _record(item) for item in state["members"]}
        marked = frozenset(str(item["name"]) for item in state["members"] if item["given"])
        shared = Shared(str(state["lineage"]), records, float(state["longest"]), marked)
    except SharedError:
        raise
    except (ValueError, KeyError, TypeError, PemError) as error:
        told = f"{place}: {STATE}: cannot be used ({type(error).__name__}); bring back what stood there, or delete the Secret"
        raise SharedError(f"{told} to begin anew: every workload has to join again then") from None
    if sum(member.phase is Phase.CURRENT for member in shared.trust.members) != 1:
        raise SharedError(f"{place}: {STATE}: not exactly one signs")
    return shared


def _record(item: Mapping[str, Any]) -> Record:
    begins, expires, turn = (float(item[name]) for name in ("begins", "expires", "turn"))
    member = Member(str(item["name"]), begins, expires, Phase(item["phase"]), turn)
    pem.read_certificates(str(item["roots"]))
    if member.phase is Phase.RETIRING:
        return Record(member, None, str(item["roots"]))
    [certificate] = pem.read_certificates(str(item["certificate"]))
    key, chain = pem.read_key(str(item["key"])), str(item["chain"])
    if pem.public_bytes(key.public_key()) != pem.public_bytes(pem.checked(certificate.public_key())):
        raise PemError("not the key of the certificate")
    links = pem.read_certificates(chain) if chain else ()
    return Record(
        member, Signer(certificate, key, links, pem.read_certificates(str(item["roots"]))), str(item["roots"])
    )
