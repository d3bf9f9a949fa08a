"""The authority at work: what it remembers, whom it believes, what it signs. No sockets; the time (seconds since 1970) is an
argument everywhere. Its methods may be called by several threads, and return when the disk has what they say.
"""

import hashlib
import json
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cryptography import x509

from mesh_api.identity import trust_domain
from mesh_control.ca import certificates, distrust, pem, requests, rotation, shared, tokens, told
from mesh_control.ca.certificates import CLOCK_SKEW, ROOT_SECONDS, Signer
from mesh_control.ca.distrust import OWN, Distrust
from mesh_control.ca.pem import PrivateKey
from mesh_control.ca.rotation import Member, Phase, Trust
from mesh_control.ca.shared import LAG, Shared
from mesh_control.ca.store import Record, Store
from mesh_control.ca.tokens import Grant, JoinToken

log = logging.getLogger("mesh_control.ca")
audit = logging.getLogger("mesh_control.ca.audit")

KEEP_SECONDS = 90 * 86400.0
"""How long what has expired stays in the audit log of the file. What is logged stays where logs go."""

KEEP_SHARED_SECONDS = 86400.0
"""The same for one of several replicas, whose file goes with its pod and may be in memory."""


class AuthorityError(RuntimeError):
    """What is asked cannot be done now; the message says why."""


class DeniedError(PermissionError):
    """A proof that is none. The message is for our log, and not for whoever shows it."""


class LifetimeError(requests.RequestError):
    """A lifetime that nobody gets."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the authority signs for. ``leaf_seconds`` is a certificate's lifetime when none is asked for.

    ``margin``: seconds by which clocks may differ when a rotation waits for the last certificate to expire.
    """

    trust_domain: str = "cluster.local"
    leaf_seconds: float = 86400.0
    max_seconds: float = 90 * 86400.0
    root_seconds: float = ROOT_SECONDS
    margin: float = CLOCK_SKEW


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has proven what. ``proof`` names it in the audit log; ``token`` is the join token that was shown, ``serial`` the
    number of the certificate that was."""

    grant: Grant
    proof: str
    token: str = ""
    serial: str = ""


class Authority:
    """See the module's docstring. ``given`` signs instead of a root of our own; when it is another than before, in its turn,
    as in every rotation. Where members are ``common`` to several replicas, they change by :meth:`share` alone."""

    def __init__(
        self, store: Store, terms: Terms, now: float, given: Signer | None = None, common: Shared | None = None
    ) -> None:
        self.terms = terms
        trust_domain(terms.trust_domain)
        self._store = store
        self._lock = threading.RLock()
        self._common, self._read_at = common, now
        self._made_here = given is None and (common is None or not common.given)
        store.sweep()
        self._records: dict[str, Record] = {}
        self._bundle = ""
        self._reload()
        if given is not None:
            self.adopt(given, now)
        self.tick(now)

    # Who signs, and who is trusted

    @property
    def trust(self) -> Trust:
        """Everyone that is trusted."""
        return Trust(tuple(record.member for record in self._records.values()))

    def signer(self) -> Signer:
        """Who signs now. Raises :class:`AuthorityError`."""
        current = self.trust.current
        found = self._records[current.name].signer if current is not None else None
        if found is None:
            raise AuthorityError("nobody signs")
        return found

    def _signer_at(self, now: float) -> Signer:
        """Who signs, where that is known for certain."""
        if self._common is not None and now - self._read_at > LAG * self.terms.leaf_seconds:
            ago = now - self._read_at
            raise AuthorityError(f"the authority's Secret was read {ago:.0f} s ago: another one may sign by now")
        return self.signer()

    def bundle(self) -> str:
        """Every root that is trusted, in PEM; the one that signs is the first."""
        return self._bundle

    def _reload(self) -> None:
        self._records = self._store.records() if self._common is None else dict(self._common.records)
        self._bundle = shared.bundle(self._records.values())

    def share(self, common: Shared, read_at: float) -> bool:
        """The members as all replicas have them, as they were read at that time; whether these are others than before."""
        with self._lock:
            before = self._phases(), self._bundle
            self._common, self._read_at, self._made_here = common, read_at, not common.given
            self._reload()
            self._tell(before[0])
            return before != (self._phases(), self._bundle)

    def adopt(self, given: Signer, now: float) -> bool:
        """Sign with what is given, at once when it is the first, else in its turn; whether anything is new.

        Raises :class:`AuthorityError` for one that has had its turn.
        """
        with self._lock:
            self._made_here = False
            known = self._records.get(given.name)
            if known is None:
                self._introduce(given, now)
                return True
            if known.signer is None:
                name = told.short(given.name)
                raise AuthorityError(f"{name} was replaced before, and does not sign again; give another")
            if (known.signer.chain, known.signer.roots) == (given.chain, given.roots):
                return False
            self._store.put_certificates(given)
            self._reload()
            return True

    def rotate(self, now: float) -> Member:
        """Make a new root that will sign in its turn. Raises :class:`AuthorityError`."""
        with self._lock:
            self._refuse_common()
            if not self._made_here:
                raise AuthorityError(
                    "the authority was given as files: put others in their place, and they will be used"
                )
            if self.trust.next is not None:
                raise AuthorityError(f"{told.short(self.trust.next.name)} is about to sign; one rotation after another")
            return self._introduce(self._new_root(now), now)

    def broken_without(self, name: str, now: float) -> Distrust:
        """What :meth:`distrust` would break. ``name`` may be the beginning of one. Raises :class:`AuthorityError`."""
        with self._lock:
            try:
                member = distrust.member_of(self.trust, name)
            except distrust.UnknownRootError as error:
                raise AuthorityError(str(error)) from None
            return distrust.foreseen(self.trust, member, self._store.valid(now), self.terms.margin)

    def distrust(self, name: str, now: float) -> Distrust:
        """Trust a root no more, at once: certificates that lead to it prove nothing, and join tokens are what is left.

        One that signs is followed by the next, or by one that is made now. Returns what it broke. Raises
        :class:`AuthorityError`.
        """
        with self._lock:
            self._refuse_common()
            broken = self.broken_without(name, now)
            self.refuse_what_stays(broken.name)
            after, fresh = rotation.without(self.trust, broken.name, now), None
            if after.current is None:
                if not self._made_here:
                    raise AuthorityError(
                        "the authority was given as files, and no other is there to sign: give another"
                    )
                fresh = self._new_root(now)
                begins, expires = pem.begins(fresh.certificate), fresh.expires
                after = rotation.introduce(after, fresh.name, begins, expires, now, 0.0, self.terms.margin)
            self._put(after, fresh)
        self.distrusted(broken, now)
        return broken

    def distrusted(self, broken: Distrust, now: float) -> None:
        """Write into the log that a root is trusted no more."""
        line = {"root": broken.name, "phase": broken.phase, "broken": sorted({*broken.signed, *broken.strangers})}
        audit.warning("%s", json.dumps({"event": "root distrusted", **line, "at": round(now, 3)}))

    def _refuse_common(self) -> None:
        if self._common is not None:
            raise AuthorityError("the authority is that of several replicas, and changes in their Secret")

    def refuse_what_stays(self, name: str) -> None:
        """A root that another member leads to as well would stay in the bundle. Raises :class:`AuthorityError`."""
        own = set(pem.read_certificates(self._records[name].roots))
        for other, record in self._records.items():
            if other != name and own & set(pem.read_certificates(record.roots)):
                raise AuthorityError(
                    f"{told.short(other)} leads to the same root as {told.short(name)}, which is trusted as long as that "
                    f"one is; give an authority below another root first"
                )

    def tick(self, now: float) -> bool:
        """Do what is due; whether it has changed who signs or who is trusted."""
        with self._lock:
            before = self.trust
            if self._common is None:
                self._rotate_what_is_due(now)
            self._store.forget(now - (KEEP_SECONDS if self._common is None else KEEP_SHARED_SECONDS))
            return self.trust != before

    def _rotate_what_is_due(self, now: float) -> None:
        if self._made_here and rotation.due(self.trust, now):
            self._introduce(self._new_root(now), now)
        after = rotation.step(self.trust, now, self._store.signed_until(), self.terms.margin)
        if after != self.trust:
            self._put(after)

    def _new_root(self, now: float) -> Signer:
        return certificates.make_root(self.terms.trust_domain, pem.new_key(), now, self.terms.root_seconds)

    def _introduce(self, fresh: Signer, now: float) -> Member:
        begins, expires = pem.begins(fresh.certificate), fresh.expires
        outstanding = self._store.outstanding()
        self._put(
            rotation.introduce(self.trust, fresh.name, begins, expires, now, outstanding, self.terms.margin), fresh
        )
        return self._records[fresh.name].member

    def _put(self, trust: Trust, fresh: Signer | None = None) -> None:
        before = self._phases()
        self._store.put_trust(trust, fresh)
        self._reload()
        self._tell(before)

    def _phases(self) -> dict[str, Phase]:
        return {member.name: member.phase for member in self.trust.members}

    def _tell(self, known: Mapping[str, Phase]) -> None:
        before = dict(known)
        for member in self.trust.members:
            if before.pop(member.name, None) is not member.phase:
                log.info("root %s is %s", told.short(member.name), member.phase)
        for name in before:
            log.info("root %s is trusted no more", told.short(name))

    # Certificates

    def issue(self, caller: Caller, request: str, seconds: float, address: str, now: float) -> tuple[str, ...]:
        """A certificate for whoever has proven to be the one that the request is for: PEM, as in Istio's answer.

        Raises :class:`~mesh_control.ca.requests.RequestError`, :class:`~mesh_control.ca.requests.ForbiddenError`,
        :class:`DeniedError`, :class:`~mesh_control.ca.certificates.SigningError`.
        """
        checked = requests.check(request)
        identity = checked.granted(caller.grant)
        if seconds > self.terms.max_seconds:
            raise LifetimeError(f"the lifetime {seconds:g} s is longer than the longest, {self.terms.max_seconds:g} s")
        lifetime = seconds if seconds > 0 else self.terms.leaf_seconds
        if self._common is not None:  # others count on it that none lives longer
            lifetime = min(lifetime, self.terms.leaf_seconds)
        with self._lock:
            signer = self._signer_at(now)
            with self._store.transaction():
                origin = self._claim(caller, hashlib.sha256(pem.public_bytes(checked.key)).digest(), now)
                chain = certificates.sign_workload(signer, checked.key, identity, now, lifetime)
                issued = told.issued(chain[0], signer, str(identity), caller.proof, origin, address, now)
                self._store.add_issued(issued)
            bundle = self.bundle()
        audit.info("%s", json.dumps({"event": "issued", **told.line(issued)}))
        return (*(pem.write_certificates((link,)) for link in chain), bundle)

    def _claim(self, caller: Caller, key: bytes, now: float) -> str:
        """Use the proof up as far as it can be; returns the join token at its beginning."""
        if caller.token:
            token = self._store.token(caller.token)
            problem = "there is no such join token" if token is None else token.problem(now)
            if token is None or problem:
                raise DeniedError(problem)
            if not self._store.use_token(token, key):
                raise DeniedError(f"join token {token.id} is used up")
            return token.id
        former = self._store.issued(caller.serial) if caller.serial else None
        if former is not None and former.revoked is not None:
            raise DeniedError(f"certificate {caller.serial} was revoked with join token {former.token}")
        return former.token if former is not None else ""

    def serve(self, names: Sequence[str], now: float) -> tuple[PrivateKey, tuple[x509.Certificate, ...]]:
        """A key, and a certificate with its chain, by which the control plane serves under these names."""
        key = pem.new_key()
        with self._lock:
            signer = self._signer_at(now)
            chain = certificates.sign_server(signer, key.public_key(), names, now, self.terms.leaf_seconds)
            issued = told.issued(chain[0], signer, ", ".join(names), OWN, "", "", now)
            with self._store.transaction():
                self._store.add_issued(issued)
        audit.info("%s", json.dumps({"event": "issued", **told.line(issued)}))
        return key, chain

    def refused(self, reason: str, address: str, proof: str, now: float) -> None:
        """Write into the log who got nothing, and why."""
        audit.warning(
            "%s",
            json.dumps({"event": "refused", "reason": reason, "address": address, "proof": proof, "at": round(now, 3)}),
        )

    # Join tokens

    def create_token(self, pattern: str, seconds: float, uses: int, note: str, now: float) -> tuple[str, JoinToken]:
        """A new token's text, which nobody can ask for again, and what is kept of it.

        Raises :class:`~mesh_control.ca.tokens.TokenError`.
        """
        grant = Grant.parse(self.terms.trust_domain, pattern)
        text, token = tokens.create(grant, now, seconds, uses, note)
        self._store.add_token(token)
        audit.info("%s", json.dumps({"event": "token created", **told.token(token, 0, now)}))
        return text, token

    def tokens(self, now: float) -> list[dict[str, Any]]:
        """Every token, as it is told."""
        return [told.token(token, used, now) for token, used in self._store.tokens()]

    def token_of(self, text: str, now: float) -> JoinToken:
        """The token whose text is shown. Raises :class:`DeniedError`."""
        name, secret = tokens.split(text) or ("", "")
        found = self._store.token(name)
        if not tokens.is_secret_of(found, secret) or found is None:
            raise DeniedError("there is no such join token")
        if problem := found.problem(now):
            raise DeniedError(problem)
        return found

    def is_used_up(self, name: str) -> bool:
        """Whether the join token of that id has no use left, or there is none: a proof of nothing for whoever has no key that
        was certified with it."""
        found = self._store.token(name)
        return found is None or self._store.is_used_up(found)

    def revoke_token(self, name: str, now: float, *, renewals: bool) -> int | None:
        """Make a token good for nothing; with ``renewals``, its certificates cannot be renewed, either.

        Returns how many certificates these are; ``None`` when there is no such token.
        """
        if not self._store.revoke_token(name, now):
            return None
        count = self._store.revoke_issued(name, now) if renewals else 0
        audit.info("%s", json.dumps({"event": "token revoked", "id": name, "certificates": count, "at": round(now, 3)}))
        return count

    def is_revoked(self, serial: str) -> bool:
        """Whether a certificate of ours proves nothing any more: it was revoked, or its root is trusted no more."""
        found = self._store.issued(serial)
        return found is not None and (found.revoked is not None or found.authority not in self._records)

    def is_withdrawn(self, token: str, serial: str) -> bool:
        """Whether the join token of that id was revoked, or the certificate of that number; empty ones were not."""
        found = self._store.token(token) if token else None
        return (found is not None and found.revoked is not None) or (serial != "" and self.is_revoked(serial))

    # What people and programs ask

    def status(self, now: float) -> dict[str, Any]:
        """Who signs and who is trusted until when; times are seconds since 1970."""
        with self._lock:
            members = [{**asdict(member), "phase": member.phase.value} for member in self.trust.members]
            count, first = self._store.counted(now)
        return {
            "trust_domain": self.terms.trust_domain,
            "given": not self._made_here,
            "shared": self._common is not None,
            "roots": members,
            "certificates": count,
            "first_expiry": first,
            "problem": self.problem(now),
        }

    def valid(self, now: float) -> list[dict[str, Any]]:
        """Every certificate that has not expired, as in the audit log; the oldest is the first."""
        return [told.line(issued) for issued in self._store.valid(now)]

    def problem(self, now: float) -> str:
        """What an operator must see to; empty when there is nothing."""
        current = self.trust.current
        if current is None or now >= current.expires:
            return "the signing certificate has expired: no certificate is issued or renewed"
        if not self._made_here and self.trust.next is None and rotation.due(self.trust, now):
            return f"the given authority expires in {(current.expires - now) / 86400:.1f} days: give another"
        return ""

    def measured(self, now: float) -> dict[str, float]:
        """Gauges by Istio's names."""
        signer = self.signer()
        root = min(map(pem.expires, signer.roots))
        found = {
            "citadel_server_root_cert_expiry_timestamp": root,
            "citadel_server_root_cert_expiry_seconds": root - now,
        }
        if signer.chain:
            found["citadel_server_cert_chain_expiry_timestamp"] = signer.expires
            found["citadel_server_cert_chain_expiry_seconds"] = signer.expires - now
        return found
