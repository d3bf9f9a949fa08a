"""The demo is a distribution of its own: it is found by its path, installed or not."""

import sys
from pathlib import Path

DEMO = str(Path(__file__).resolve().parents[3] / "examples" / "demo")
if DEMO not in sys.path:
    sys.path.insert(0, DEMO)
