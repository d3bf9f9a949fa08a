"""The operator's own kubectl, with a login that a playbook or a stack has left."""

import os
import subprocess
from pathlib import Path

from tests.support.stacks import ROOT

PROGRAM = ROOT / "dist/kubernetes/bin/kubectl"


def kubectl(login: Path, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs it; with ``check`` it must end well."""
    done = subprocess.run(
        [PROGRAM, *arguments],
        env=os.environ | {"KUBECONFIG": str(login)},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, f"kubectl {' '.join(arguments)}:\n{done.stdout}\n{done.stderr}"
    return done
