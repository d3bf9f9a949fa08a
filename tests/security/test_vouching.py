"""What applications are told of certificates with odd names (``x-forwarded-client-cert``): what Envoy tells, and nothing that
clients have made up."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import envoy
from tests.parity.case_files import Case, CaseFile
from tests.parity.certificates import Certificates
from tests.parity.outcomes import Outcome, differences
from tests.parity.sides import run_on_both

__all__ = ["envoy"]

pytestmark = pytest.mark.integration

COUNT = 24
FIELD = "x-forwarded-client-cert"
MODES = ("SANITIZE", "SANITIZE_SET", "APPEND_FORWARD", "FORWARD_ONLY", "ALWAYS_FORWARD_ONLY")
ODD = ";,=\"\\ %'<>#+/:@*abcXYZ019-_.~"
"""What has a meaning in the field, in names of subjects (RFC 2253), or in URIs."""
MADE_UP = (
    "URI=spiffe://cluster.local/ns/default/sa/admin",
    "By=spiffe://a;Hash=00;URI=spiffe://cluster.local/ns/default/sa/admin",
    'Subject="CN=admin";URI=,URI=spiffe://cluster.local/ns/default/sa/admin',
    '"',
    ",",
    "URI=a,URI=b",
)


def word(dice: random.Random, alphabet: str = ODD) -> str:
    return "".join(dice.choice(alphabet) for _ in range(dice.randrange(1, 24)))


def names(dice: random.Random) -> tuple[tuple[str, ...], str]:
    """URIs and names of a certificate, and its subject."""
    uris = [f"spiffe://{word(dice)}" for _ in range(dice.choice((0, 1, 1, 2)))]
    hosts = [word(dice, 'abc-.*;,="') for _ in range(dice.choice((0, 0, 1, 2)))]
    subject = word(dice, ODD + "é\t\r\n\x7f€") if not (uris or hosts) or dice.random() < 0.6 else ""
    return (*uris, *hosts), subject


def listener(mode: str, details: dict[str, bool]) -> dict[str, Any]:
    """A port that asks for a certificate of the authority's, whoever it is for."""
    files = {"certificate_chain": {"filename": "$/proxy.pem"}, "private_key": {"filename": "$/proxy.key"}}
    tls = {
        "@type": "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": [files],
            "validation_context": {"trusted_ca": {"filename": "$/roots.pem"}},
        },
    }
    return {
        "manager": {"forward_client_cert_details": mode, "set_current_client_cert_details": details},
        "chain": {"transport_socket": {"name": "tls", "typed_config": tls}},
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "echo"}}],
    }


def files(dice: random.Random, shown: list[str]) -> list[CaseFile]:
    """A file for each mode; what is asked in it shows each certificate, and says something of its own as well."""
    made = []
    for mode in MODES:
        details = {name: dice.random() < 0.7 for name in ("subject", "uri", "dns")}
        cases = []
        for name in shown:
            said = [(FIELD, dice.choice(MADE_UP)) for _ in range(dice.choice((0, 1, 1, 2)))]
            request = {"line": "GET /", "headers": said}
            cases.append(Case(f"{name}, {said}", "ask", request, tls={"certificate": name}))
        made.append(
            CaseFile("security", f"vouched-{mode.lower()}", "What is told.", listener(mode, details), tuple(cases))
        )
    return made


def joined(outcome: Outcome) -> Outcome:
    """Envoy joins several fields of this name to one, which means the same."""
    name = f"seen {FIELD}"
    return {**outcome, name: outcome[name].replace(", ", ",")} if name in outcome else outcome


@pytest.mark.timeout(600)
def test_applications_are_told_what_envoy_tells(envoy: Path, tmp_path: Path) -> None:
    dice = random.Random(1)
    drawn = {f"drawn{number}": names(dice) for number in range(COUNT)}
    asked = [(file, case) for file in files(dice, list(drawn)) for case in file.cases]
    listed = list({file.key: file for file, _ in asked}.values())
    both = run_on_both(envoy, tmp_path, listed, asked, certificates=Certificates(tmp_path, drawn))
    found = [
        f"{file.name} {case.name} {drawn[case.tls['certificate']]}: {name}: Envoy {a!r}, ours {b!r}"
        for (file, case), theirs, own in zip(asked, both.envoy, both.ours, strict=True)
        for name, (a, b) in differences(joined(theirs), joined(own)).items()
        if case.tls is not None
    ]
    assert not found, "\n".join(found)
    told = [own.get(f"seen {FIELD}", "") for (file, _), own in zip(asked, both.ours, strict=True) if "set" in file.name]
    assert all(told)
    assert not any("sa/admin" in one for one in told)


def test_names_with_line_ends_are_no_fields_of_their_own(envoy: Path, tmp_path: Path) -> None:
    """Envoy refuses such a request."""
    uris = ("spiffe://a\r\nx-made-up: 1", "b.c\r\nx-made-up: 2", "spiffe://a\r\n\r\nGET /hidden HTTP/1.1\r\nhost: a")
    case = Case("line ends", "ask", "GET /", tls={"certificate": "ended"})
    file = CaseFile(
        "security", "line-ends", "What is told.", listener("SANITIZE_SET", {"uri": True, "dns": True}), (case,)
    )
    made = Certificates(tmp_path, {"ended": (uris, "")})
    both = run_on_both(envoy, tmp_path, [file], [(file, case)], certificates=made)
    (theirs,), (own,) = both.envoy, both.ours
    assert theirs["status"] == 503
    assert "seen" not in theirs
    assert own["seen"] == "echo: GET / HTTP/1.1"
    assert "seen x-made-up" not in own
    assert "URI=spiffe://a%0D%0Ax-made-up: 1;" in own[f"seen {FIELD}"]
