# SPDX-License-Identifier: Apache-2.0
"""``kubectl`` of a machine of the control plane, with the login of its files."""

from __future__ import annotations

import os
import subprocess


def kubectl(kubeconfig: str, *arguments: str, manifests: str = "") -> tuple[int, str, str]:
    """Exit code, output and complaint; ``manifests`` is its standard input. Differences are those of ``diff -u -N -r``."""
    command = ["kubectl", f"--kubeconfig={kubeconfig}", *arguments]
    environment = dict(os.environ, LC_ALL="C", KUBECTL_EXTERNAL_DIFF="diff -u -N -r")
    done = subprocess.run(command, input=manifests.encode(), capture_output=True, check=False, env=environment)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace").strip()
