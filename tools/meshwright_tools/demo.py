"""``tools/stack demo SCENARIO``: puts one scenario's policies in force, looks at the mesh from outside, and goes back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from meshwright_tools.checkout import Checkout
from meshwright_tools.progress import Progress, StepError
from meshwright_tools.stack import Pulumi, open_stack, recover

SCENARIOS = ("timeout", "routing", "canary", "circuit-breaker", "authentication")
KEY = "environment.scenario"


def demo(checkout: Checkout, stack: str, scenario: str, progress: Progress) -> int:
    """Show one scenario; returns 0 when everything was seen that must be seen."""
    if scenario not in SCENARIOS:
        raise StepError(f"there is no scenario {scenario!r}; allowed: {', '.join(SCENARIOS)}")
    pulumi = open_stack(checkout, stack, progress)
    if not pulumi.exists():
        raise StepError(f"the stack {stack} does not exist; run `make up` first")
    recover(pulumi, progress)
    before = configured(pulumi)
    try:
        switch(pulumi, scenario, progress)
        return observe(checkout, pulumi, scenario)
    finally:
        switch(pulumi, before, progress)


def configured(pulumi: Pulumi) -> str | None:
    """The scenario that the stack's configuration sets; None where it sets none."""
    found = pulumi.read("config", "get", "--path", KEY)
    return found.stdout.strip() if found.returncode == 0 else None


def switch(pulumi: Pulumi, scenario: str | None, progress: Progress) -> None:
    """Put the policies of a scenario (None: of the one that the environment declares) in force, for every proxy."""
    what = f"policies of {scenario}" if scenario else "policies as declared"
    with progress.step(f"{what}, until every proxy has taken them"):
        words = ["rm", "--path", KEY] if scenario is None else ["set", "--path", KEY, scenario]
        changed = pulumi.read("config", *words)
        done = changed if changed.returncode else pulumi.read("up", "--yes", "--skip-preview")
        if done.returncode:
            raise StepError(f"the {what} are not in force:\n{done.stdout}{done.stderr}")


def observe(checkout: Checkout, pulumi: Pulumi, scenario: str) -> int:
    """Make the scenario's requests from where the gateway can be reached."""
    outputs = json.loads(pulumi.read("stack", "output", "--json").stdout or "{}")
    mesh = checkout.venv / "bin" / "mesh"
    sys.stdout.flush()
    command = [str(mesh), "observe", scenario, *where(outputs)]
    return subprocess.run([*entered(outputs), *command], cwd=checkout.root, check=False).returncode


def entered(outputs: Mapping[str, Any]) -> list[str]:
    """What stands before the command, to be where machines are reached; a cluster is reached from here."""
    return [] if "kubeconfig" in outputs else list(outputs.get("enter", []))


def where(outputs: Mapping[str, Any]) -> list[str]:
    """Options that say what is asked: a cluster itself knows."""
    if "kubeconfig" in outputs:
        return ["--kubeconfig", outputs["kubeconfig"]]
    options = ["--gateway", outputs["gateway"]]
    options += ["--direct", outputs["direct"]] if outputs.get("direct") else []
    for name, page in outputs.get("statistics", {}).items():
        options += ["--statistics", f"{name}={page}"]
    return options
