"""The authority is killed again and again, at any moment, and keeps what it promised."""

import json
import random
import stat
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mesh_control.ca import pem
from mesh_control.ca.authority import Authority, Terms
from mesh_control.ca.store import Store

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]
KILLS = 15


@dataclass(slots=True)
class Promises:
    """Everything that any of the killed processes said it had done."""

    now: float = 1_800_000_000.0
    uses: dict[str, int] = field(default_factory=dict)
    issued: dict[str, dict[str, Any]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    members: dict[str, str] = field(default_factory=dict)

    def take(self, line: dict[str, Any]) -> None:
        did = line["did"]
        if did == "create":
            self.uses[line["token"]] = line["uses"]
        elif did == "issue":
            self.issued[line["serial"]] = line
        elif did == "revoke":
            self.revoked.add(line["token"])
        elif did == "rotate":
            self.members[line["name"]] = "next"
        elif did == "look at the clock":
            self.now = line["now"]
        elif did in ("open", "advance"):
            self.members = line["members"]


def run_and_kill(folder: Path, promises: Promises, chance: random.Random) -> int:
    """Until some number of things was done; what is done while the signal is on its way counts, too."""
    command = [sys.executable, "-m", "tests.support.certificate_worker", str(folder), str(promises.now)]
    with subprocess.Popen([*command, str(chance.random())], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        wanted = chance.randrange(1, 60)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if len(lines) == wanted:
                break
        process.kill()
        lines += process.stdout.readlines()
        assert process.wait(30) < 0, "".join(lines)
    whole = [line for line in lines if line.endswith("\n")]
    for line in whole:
        promises.take(json.loads(line))
    return len(whole)


def check(folder: Path, promises: Promises) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    store = Store(folder)
    try:
        authority = Authority(store, Terms(), promises.now)
        phases = Counter(member.phase.value for member in authority.trust.members)
        assert phases["current"] == 1
        assert phases["next"] <= 1
        authority.signer()
        tokens = {token.id: (token, used) for token, used in store.tokens()}
        for name, uses in promises.uses.items():
            assert tokens[name][0].uses == uses
            assert tokens[name][1] <= uses
            assert (tokens[name][0].revoked is not None) >= (name in promises.revoked)
        given = Counter(line["token"] for line in promises.issued.values())
        assert all(count <= promises.uses[name] for name, count in given.items())
        roots = pem.read_certificates(authority.bundle())
        for serial, line in promises.issued.items():
            row = store.issued(serial)
            assert row is not None
            assert (row.token, row.identity) == (line["token"], "spiffe://cluster.local/ns/default/sa/store")
            certificate = x509.load_pem_x509_certificate(line["certificate"].encode())
            if pem.expires(certificate) > promises.now:
                assert any(root.subject == certificate.issuer for root in roots), "a valid certificate lost its root"
                trusted = pem.read_certificates(line["roots"])
                assert authority.signer().certificate in trusted, "somebody does not trust who signs now"
        names = {member.name for member in authority.trust.members}
        current = [name for name, phase in promises.members.items() if phase in ("current", "next")]
        assert set(current) <= names
    finally:
        store.close()


def test_what_was_promised_survives_being_killed_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(20261126)
    promises = Promises()
    done = sum(_round(tmp_path / "ca", promises, chance) for _ in range(KILLS))
    assert done > KILLS * 10
    assert len(promises.issued) > KILLS


def _round(folder: Path, promises: Promises, chance: random.Random) -> int:
    done = run_and_kill(folder, promises, chance)
    check(folder, promises)
    return done
