"""The tools are no part of the distribution: they are found by their path."""

import sys
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[3] / "tools"
sys.path[:0] = [str(TOOLS), str(TOOLS / "kubernetes-provider-double"), str(TOOLS / "pulumi-host")]
