"""What differs, for people: ``python -m tests.parity.show [FEATURE[/FILE]] ...`` (``--all`` with what is accepted).

The program of Envoy is ``MESHWRIGHT_ENVOY``, else what ``tools/env envoy`` has made.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.parity.case_files import Case, CaseFile, features, read_all
from tests.parity.outcomes import differences, judged
from tests.parity.refusals import taken
from tests.parity.sides import ROOT, Both, run_on_both


def main() -> None:
    """Runs features, or single files, and prints every difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("places", nargs="*", default=features())
    parser.add_argument("--all", action="store_true", help="also what the cases say")
    parser.add_argument("--full", action="store_true", help="everything that came of a case on Envoy")
    options = parser.parse_args()
    files = read_all()
    chosen = [file for file in files if {file.folder, f"{file.folder}/{file.name}"} & {*options.places}]
    with tempfile.TemporaryDirectory() as scratch:
        files, refused = taken(chosen, Path(scratch))
        for key, why in refused.items():
            sys.stdout.write(f"{key} is refused: {why}\n")
        cases = [(file, case) for file in files for case in file.cases]
        both = run_on_both(_envoy(), Path(scratch), files, cases)
    _show(cases, both, options)


def _show(cases: list[tuple[CaseFile, Case]], both: Both, options: argparse.Namespace) -> None:
    for (file, case), envoy, ours in zip(cases, both.envoy, both.ours, strict=True):
        judgement = judged(case, envoy, ours)
        left = differences(envoy, ours) if options.all else judgement.left
        if left or judgement.gone or options.full:
            sys.stdout.write(f"{file.folder}/{file.name}: {case.name}\n")
        for key, value in (envoy if options.full else {}).items():
            sys.stdout.write(f"        {key} = {value!r}\n")
        for key, (a, b) in left.items():
            sys.stdout.write(f"    {key}: Envoy {a!r}, ours {b!r}\n")
        for what in judgement.gone:
            sys.stdout.write(f"    no longer different: {what}\n")


def _envoy() -> Path:
    given = os.environ.get("MESHWRIGHT_ENVOY", "")
    if given:
        return Path(given)
    made = subprocess.run([ROOT / "tools" / "env", "envoy"], capture_output=True, text=True, check=True)
    return Path(made.stdout.strip()) / "bin" / "envoy"


if __name__ == "__main__":
    main()
