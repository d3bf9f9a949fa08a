"""TLS that a host in the network changes on its way: it reaches no application, and takes nothing from anybody else."""

from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import envoy
from tests.parity.case_files import Case
from tests.parity.outcomes import Outcome
from tests.parity.sides import run_on_both
from tests.security import tampering
from tests.security.policy_files import HTTP_PORT, inbound

__all__ = ["envoy"]

pytestmark = pytest.mark.integration

COUNT = 60
MODES = ("STRICT", "PERMISSIVE")


def listener(mode: str) -> dict[str, Any]:
    """What the control plane makes of a port with mutual TLS of that mode."""
    policy = {
        "apiVersion": "security.istio.io/v1",
        "kind": "PeerAuthentication",
        "metadata": {"name": "mode"},
        "spec": {"mtls": {"mode": mode}},
    }
    return {"whole": inbound([policy], None, HTTP_PORT)}


def served(outcome: Outcome) -> bool:
    """Whether the application was asked."""
    return "seen" in outcome


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", MODES)
def test_what_was_changed_reaches_nobody_but_as_on_envoy(mode: str, envoy: Path, tmp_path: Path) -> None:
    file, draws = tampering.cases(f"tampered-{mode.lower()}", listener(mode), MODES.index(mode), COUNT)
    plain = Case("whole", "ask", "GET /whole", tls={"certificate": "client", "protocols": ["istio", "http/1.1"]})
    asked = [(file, case) for case in (*file.cases, plain)]
    both = run_on_both(envoy, tmp_path, [file], asked, tampering.between(draws))
    rows = list(zip(asked, both.envoy, both.ours, strict=True))
    laxer = [case.name for (_, case), theirs, own in rows if served(own) and not served(theirs)]
    assert not laxer
    # Whoever comes afterwards is served, whatever was done to others.
    assert served(both.ours[-1])
    stricter = [case.name for (_, case), theirs, own in rows if served(theirs) and not served(own)]
    assert not stricter
    assert 0.5 < sum(not served(own) for own in both.ours) / len(rows) < 1
