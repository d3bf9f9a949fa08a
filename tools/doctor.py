#!/usr/bin/env -S python3 -B
"""Checks this machine, changes nothing, and says everything at once. Exit status: 0 local, 1 laptop alone, 2 nothing."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from meshwright_tools.checkout import here
from meshwright_tools.doctor.facts import gather
from meshwright_tools.doctor.judge import findings
from meshwright_tools.doctor.report import as_json, exit_status, table, verdict


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tools/doctor.py", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    arguments = parser.parse_args()
    found = findings(gather(here()))
    print(as_json(found) if arguments.json else f"{table(found)}\n\n{verdict(found)}")
    return exit_status(found)


if __name__ == "__main__":
    sys.exit(main())
