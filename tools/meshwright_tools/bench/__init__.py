"""Benchmarks: each compares with its peer in the same run, and prints how it was done. ``istioctl`` and ``istiod`` build
those peers."""

from __future__ import annotations

import argparse
import sys

from meshwright_tools.bench import policy
from meshwright_tools.bench.istio import PROGRAMS
from meshwright_tools.bench.measure import CommandError
from meshwright_tools.checkout import here
from meshwright_tools.progress import StepError


def main() -> int:
    """Run the benchmark that the command line names."""
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        usage="tools/bench {policy,control,proxy,growth,istioctl,istiod} [options]",
        description=__doc__,
    )
    subjects = ["policy", "control", "proxy", "growth", *PROGRAMS]
    parser.add_argument("subject", choices=subjects, help="what is measured, or built")
    parser.add_argument("--rounds", type=int, default=7, help="how often each command runs (default 7)")
    parser.add_argument("--services", type=int, default=1000, help="how many services, each with two policies")
    parser.add_argument("--requests", type=int, default=10_000, help="how many requests are simulated")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each round of a proxy, or of growth (default 1)")
    parser.add_argument("--case", action="append", default=[], help="only this one of the proxy's (repeatable)")
    parser.add_argument(
        "--kubernetes", action="store_true", help="of control: with a cluster's services and pods (kwok)"
    )
    arguments = parser.parse_args()
    if arguments.subject in PROGRAMS:
        return PROGRAMS[arguments.subject].build(here().cache)
    try:
        if arguments.subject == "control":
            from meshwright_tools.bench import control  # needs the environment's packages, as its clients do

            measure = control.run_in_cluster if arguments.kubernetes else control.run
            return measure(here(), arguments.services)
        if arguments.subject == "growth":
            from meshwright_tools.bench import growth

            return growth.run(here(), arguments.seconds)
        if arguments.subject == "proxy":
            from meshwright_tools.bench import proxy

            return proxy.run(here(), arguments.rounds, arguments.seconds, arguments.case)
        return policy.run(here(), arguments.rounds, arguments.services, arguments.requests)
    except (CommandError, StepError) as error:
        print(error, file=sys.stderr)
        return 1
