"""An authority that is given work without end, to be killed at any moment: ``certificate_worker FOLDER NOW SEED``.

Writes a line of JSON on standard output for each thing that is done, after it is done: what stands there was promised.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

from cryptography import x509

from mesh_control.ca import pem
from mesh_control.ca.authority import Authority, AuthorityError, Caller, DeniedError, Terms
from mesh_control.ca.store import Store
from tests.support.certificate_client import request_pem

IDENTITY = "spiffe://cluster.local/ns/default/sa/store"


def promise(**what: Any) -> None:
    """What may be relied upon from now on."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def join(authority: Authority, text: str, now: float) -> None:
    token = authority.token_of(text, now)
    key = pem.new_key()
    caller = Caller(token.grant, f"join token {token.id}", token=token.id)
    chain = authority.issue(caller, request_pem(key, [IDENTITY]), 0, "", now)
    serial = f"{x509.load_pem_x509_certificate(chain[0].encode()).serial_number:x}"
    promise(did="issue", token=token.id, serial=serial, certificate=chain[0], roots=chain[1])


def main() -> None:
    """Work until killed."""
    folder, now, chance = Path(sys.argv[1]), float(sys.argv[2]), random.Random(sys.argv[3])
    authority = Authority(Store(folder), Terms(), now)
    texts: list[str] = []
    promise(did="open", now=now, members={m.name: m.phase.value for m in authority.trust.members})
    while True:
        what = chance.choice(["create", "create", "join", "join", "join", "revoke", "rotate", "advance", "advance"])
        try:
            if what == "create":
                uses = chance.choice([1, 1, 2])
                text, token = authority.create_token("default/store", 10 * 86400, uses, "", now)
                texts.append(text)
                promise(did="create", token=token.id, uses=uses)
            elif what == "join" and texts:
                join(authority, chance.choice(texts[-4:]), now)
            elif what == "revoke" and chance.random() < 0.3 and texts:
                name = chance.choice(texts).split(".")[1]
                authority.revoke_token(name, now, renewals=True)
                promise(did="revoke", token=name)
            elif what == "rotate":
                promise(did="rotate", name=authority.rotate(now).name)
            elif what == "advance":
                now += chance.uniform(0, 40_000)
                promise(did="look at the clock", now=now)  # before: time does not go back for who finds what was done
                authority.tick(now)
                promise(did="advance", now=now, members={m.name: m.phase.value for m in authority.trust.members})
        except DeniedError as reason:
            promise(did="refuse", reason=str(reason))
        except AuthorityError:
            pass  # one rotation after another


if __name__ == "__main__":
    main()
