"""What the authority must not forget, in a folder that only its owner opens: a file of SQLite, and a file for each key.

A transaction is on the disk before anything that follows from it is told to anybody. A key is there before the row that needs
it, and goes after the row that needed it: a crash at any point leaves a key too many, which is swept away, never one too few.
"""

import fcntl
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mesh_control.ca import pem
from mesh_control.ca.certificates import Signer
from mesh_control.ca.pem import PemError
from mesh_control.ca.rotation import Member, Phase, Trust
from mesh_control.ca.tokens import Grant, JoinToken

DATABASE, LOCK = "ca.sqlite", "lock"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS authorities (
    name TEXT PRIMARY KEY, phase TEXT NOT NULL, turn REAL NOT NULL, begins REAL NOT NULL, expires REAL NOT NULL,
    certificate TEXT NOT NULL, chain TEXT NOT NULL, roots TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, digest BLOB NOT NULL, trust_domain TEXT NOT NULL, namespace TEXT NOT NULL, account TEXT NOT NULL,
    uses INTEGER NOT NULL, created REAL NOT NULL, expires REAL NOT NULL, revoked REAL, note TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS token_keys (token TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (token, key));
CREATE TABLE IF NOT EXISTS issued (
    serial TEXT PRIMARY KEY, authority TEXT NOT NULL, identity TEXT NOT NULL, proof TEXT NOT NULL, token TEXT NOT NULL,
    address TEXT NOT NULL, at REAL NOT NULL, expires REAL NOT NULL, revoked REAL);
CREATE INDEX IF NOT EXISTS issued_expires ON issued (expires);
CREATE INDEX IF NOT EXISTS issued_authority ON issued (authority, expires);
CREATE INDEX IF NOT EXISTS issued_token ON issued (token);
"""


class StoreError(RuntimeError):
    """The folder cannot be used; the message names the file."""


class Issued(NamedTuple):
    """A line of the audit log: which ``authority`` gave which certificate to whom, upon which proof, when and until when.

    ``proof`` is the authenticator and what it saw; ``token`` the join token at the beginning of a row of renewals, if any.
    """

    serial: str
    authority: str
    identity: str
    proof: str
    token: str
    address: str
    at: float
    expires: float
    revoked: float | None = None


@dataclass(slots=True)
class Record:
    """A member of the trust, and what it is: its certificates, and where it signs or will, its key."""

    member: Member
    signer: Signer | None
    roots: str


class Store:
    """The folder, which is made where it is missing. For one process at a time. Raises :class:`StoreError` everywhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _only_ours(folder)
            self._guard = _exclusive(folder / LOCK)
        except OSError as error:
            raise StoreError(f"{folder}: {error.strerror}") from None
        try:
            self._database = self._open()
        except BaseException:
            os.close(self._guard)
            raise

    def _open(self) -> sqlite3.Connection:
        path = self.folder / DATABASE
        if not path.exists() and any(self.folder.glob("*.key")):
            raise StoreError(f"{path} is gone, and keys are there: bring it back, or take the keys away to begin anew")
        try:
            path.touch(mode=0o600)
            _only_ours(path)
            database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{path}: {error}") from None
        return database

    def close(self) -> None:
        """Leave the folder to the next process."""
        with self._lock:
            self._database.close()
            os.close(self._guard)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing; it is on the disk when this ends without an error."""
        with self._lock:
            self._run("BEGIN IMMEDIATE")
            try:
                yield
                self._run("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise

    def _run(self, statement: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        try:
            return self._database.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(f"{self.folder / DATABASE}: {error}") from None

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._run(statement, values).fetchall()

    # Who signs

    def records(self) -> dict[str, Record]:
        """Everyone that is trusted, with the keys of those that sign or will."""
        found = {}
        for row in self._rows("SELECT name, begins, expires, phase, turn, certificate, chain, roots FROM authorities"):
            name, begins, expires, phase, turn, *texts = row
            member = Member(str(name), float(begins), float(expires), Phase(str(phase)), float(turn))
            found[member.name] = self._record(member, *map(str, texts))
        return found

    def _record(self, member: Member, certificate: str, chain: str, roots: str) -> Record:
        if member.phase is Phase.RETIRING:
            return Record(member, None, roots)
        path = self._key_file(member.name)
        try:
            _only_ours(path)
            [signing] = pem.read_certificates(certificate)
            key = pem.read_key(path.read_bytes())
            links = pem.read_certificates(chain) if chain else ()
            signer = Signer(signing, key, links, pem.read_certificates(roots))
        except OSError as error:
            raise StoreError(f"{path}: {error.strerror}; what it signs for is {member.phase}") from None
        except PemError as error:
            raise StoreError(f"{path}: {error}") from None
        if pem.public_bytes(key.public_key()) != pem.public_bytes(pem.checked(signing.public_key())):
            raise StoreError(f"{path} is not the key of the certificate that it stands for")
        return Record(member, signer, roots)

    def put_trust(self, trust: Trust, fresh: Signer | None = None) -> None:
        """Exactly these are trusted from now on. A ``fresh`` member brings its certificates and its key."""
        if fresh is not None:
            write_private(self._key_file(fresh.name), pem.write_key(fresh.key))
        with self.transaction():
            if fresh is not None:
                texts = [pem.write_certificates(c) for c in ((fresh.certificate,), fresh.chain, fresh.roots)]
                self._run("INSERT INTO authorities VALUES (?, '', 0, 0, 0, ?, ?, ?)", (fresh.name, *texts))
            for m in trust.members:
                self._run(
                    "UPDATE authorities SET phase = ?, turn = ?, begins = ?, expires = ? WHERE name = ?",
                    (m.phase.value, m.turn, m.begins, m.expires, m.name),
                )
            names = [member.name for member in trust.members]
            marks = ", ".join("?" * len(names))
            self._run(f"DELETE FROM authorities WHERE name NOT IN ({marks})", names)  # noqa: S608 (question marks)
        self.sweep()

    def sweep(self) -> None:
        """Remove the keys of those that do not sign any more, and what a crash left."""
        phases = (Phase.NEXT.value, Phase.CURRENT.value)
        kept = {f"{name}.key" for (name,) in self._rows("SELECT name FROM authorities WHERE phase IN (?, ?)", *phases)}
        for path in self.folder.iterdir():
            if path.suffix in (".key", ".new") and path.name not in kept:
                path.unlink(missing_ok=True)

    def _key_file(self, name: str) -> Path:
        return self.folder / f"{name}.key"

    # What was issued

    def outstanding(self) -> float:
        """When the last certificate expires that was given out; 0 when there is none."""
        [(last,)] = self._rows("SELECT max(expires) FROM issued")
        return float(last or 0.0)

    def signed_until(self) -> dict[str, float]:
        """By member, when the last certificate expires that it signed."""
        rows = self._rows("SELECT authority, max(expires) FROM issued GROUP BY authority")
        return {str(name): float(last) for name, last in rows}

    def add_issued(self, issued: Issued) -> None:
        """Write into the audit log."""
        self._run(f"INSERT INTO issued VALUES ({', '.join('?' * len(issued))})", issued)  # noqa: S608 (question marks)

    def issued(self, serial: str) -> Issued | None:
        """The certificate of that number, when it was issued here."""
        return next(iter(self._issued("WHERE serial = ?", serial)), None)

    def valid(self, now: float) -> list[Issued]:
        """Every certificate that has not expired."""
        return self._issued("WHERE expires > ? ORDER BY at", now)

    def counted(self, now: float) -> tuple[int, float | None]:
        """How many certificates have not expired, and when the first of them does."""
        [(count, first)] = self._rows("SELECT count(*), min(expires) FROM issued WHERE expires > ?", now)
        return count, first

    def _issued(self, condition: str, *values: object) -> list[Issued]:
        return [Issued(*row) for row in self._rows(f"SELECT * FROM issued {condition}", *values)]  # noqa: S608 (of this module)

    def revoke_issued(self, token: str, now: float) -> int:
        """Refuse to renew what was issued upon a token, or upon what was; returns how many certificates these are."""
        with self.transaction():
            where = "WHERE token = ? AND expires > ? AND revoked IS NULL"
            return self._run(f"UPDATE issued SET revoked = ? {where}", (now, token, now)).rowcount  # noqa: S608

    def put_certificates(self, signer: Signer) -> None:
        """A member's chain and roots are others now."""
        chain, roots = pem.write_certificates(signer.chain), pem.write_certificates(signer.roots)
        with self.transaction():
            self._run("UPDATE authorities SET chain = ?, roots = ? WHERE name = ?", (chain, roots, signer.name))

    def forget(self, before: float) -> None:
        """Forget certificates and tokens that expired before that time."""
        with self.transaction():
            self._run("DELETE FROM issued WHERE expires < ?", (before,))
            self._run("DELETE FROM token_keys WHERE token IN (SELECT id FROM tokens WHERE expires < ?)", (before,))
            self._run("DELETE FROM tokens WHERE expires < ?", (before,))

    # Join tokens

    def add_token(self, token: JoinToken) -> None:
        """Remember a token."""
        grant = (token.grant.trust_domain, token.grant.namespace, token.grant.service_account)
        rest = (token.uses, token.created, token.expires, token.revoked, token.note)
        with self.transaction():
            self._run(
                "INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (token.id, token.digest, *grant, *rest)
            )

    def token(self, name: str) -> JoinToken | None:
        """The token of that id."""
        return next(iter(self._tokens("WHERE id = ?", name)), None)

    def tokens(self) -> list[tuple[JoinToken, int]]:
        """Every token, and how many keys were certified with it."""
        counts: dict[str, int] = dict(self._rows("SELECT token, count(*) FROM token_keys GROUP BY token"))
        return [(token, counts.get(token.id, 0)) for token in self._tokens("ORDER BY created, rowid")]

    def _tokens(self, condition: str, *values: object) -> list[JoinToken]:
        rows = self._rows(f"SELECT * FROM tokens {condition}", *values)  # noqa: S608 (of this module)
        return [JoinToken(row[0], row[1], Grant(*row[2:5]), *row[5:]) for row in rows]

    def is_used_up(self, token: JoinToken) -> bool:
        """Whether as many keys as it is for were certified with it."""
        [(used,)] = self._rows("SELECT count(*) FROM token_keys WHERE token = ?", token.id)
        return bool(used >= token.uses)

    def use_token(self, token: JoinToken, key: bytes) -> bool:
        """Whether the key may be certified with the token; it counts as a use when it is new. Inside a transaction."""
        pair = (token.id, key)
        if not self._rows("SELECT 1 FROM token_keys WHERE token = ? AND key = ?", *pair):
            [(used,)] = self._rows("SELECT count(*) FROM token_keys WHERE token = ?", token.id)
            if used >= token.uses:
                return False
            self._run("INSERT INTO token_keys VALUES (?, ?)", pair)
        return True

    def revoke_token(self, name: str, now: float) -> bool:
        """Make it good for nothing; whether there is such a token."""
        with self.transaction():
            return self._run("UPDATE tokens SET revoked = coalesce(revoked, ?) WHERE id = ?", (now, name)).rowcount == 1


def _only_ours(path: Path) -> None:
    """Fail closed: what others could open may be known to others."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise StoreError(f"{path} has mode {mode:04o}: others could have opened it; look into it, then chmod go= it")


def _exclusive(path: Path) -> int:
    """A lock that ends with the process: two would give out the same single use twice."""
    guard = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(guard)
        raise StoreError(f"{path.parent} is in use by another control plane") from None
    return guard


def write_private(path: Path, content: bytes) -> None:
    """On the disk, whole, and never open to others, not for a moment."""
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
