"""``python -m stacks.operations``: the verbs of a cluster's life (``mesh cluster``)."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from stacks.operations import told
from stacks.operations.place import PlaceError, find
from stacks.operations.run import Operator, RefusedError, terminal
from stacks.operations.verbs import VERBS, Verb
from stacks.playbooks import PlaybookError

FAILED, REFUSED = 1, 2
"""Ends: a run that failed, or machines that are not well; and what did not begin."""


def main(words: Sequence[str] | None = None) -> int:
    """Run a verb; what it says goes to standard output, why it does not to the other."""
    arguments = _parser().parse_args(words)
    try:
        place = find(arguments.inventory, arguments.environment, arguments.vault_password_file)
        operator = Operator(place, _say, terminal())
        verb = VERBS[arguments.verb]
        if verb.reads:
            return _read(operator, arguments.verb, arguments.output)
        operator.carry_out(arguments.verb, _variables(verb, arguments), sure=arguments.yes)
    except (PlaceError, RefusedError) as error:
        return _complain(str(error), REFUSED)
    except PlaybookError as error:
        return _complain(str(error), FAILED)
    except KeyboardInterrupt:
        return _complain("cut off; the same command goes on from there", FAILED)
    return 0


def _read(operator: Operator, name: str, output: str) -> int:
    report = operator.report(VERBS[name], {})
    if name == "preflight":
        found = told.problems(report)
        text = told.problem_table(found) if found else f"nothing stands in the way on {', '.join(report['machines'])}"
        well = not found
    else:
        text, well = told.status(report), told.healthy(report)
    _say(json.dumps(report, indent=2) if output == "json" else text)
    return 0 if well else FAILED


def _variables(verb: Verb, arguments: argparse.Namespace) -> dict[str, str]:
    """Those of the playbook."""
    found = {}
    for one in verb.arguments:
        value = getattr(arguments, one.name)
        if value in (None, False):
            continue
        found[one.name] = "true" if one.switch else str(Path(value).resolve()) if one.file else str(value)
    return found | ({"cluster": arguments.cluster} if verb.named else {})


def _parser() -> argparse.ArgumentParser:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("-i", "--inventory", type=Path, help="the inventory")
    shared.add_argument("-e", "--environment", default="", help="an environment, whose inventory in a file is taken")
    shared.add_argument(
        "--vault-password-file", type=Path, help="opens the vault (default: .vault_pass of the project)"
    )
    parser = argparse.ArgumentParser(prog="mesh cluster", description="The verbs of a cluster's life.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        made = verbs.add_parser(name, parents=[shared], help=verb.what, description=verb.what)
        if verb.reads:
            made.add_argument("-o", "--output", choices=("text", "json"), default="text")
        else:
            made.add_argument("--yes", action="store_true", help="do it without being asked")
        if verb.named:
            made.add_argument("--cluster", required=True, help="the cluster's name, as nothing takes it back")
        for one in verb.arguments:
            words = [f"--{one.name.removeprefix('kubernetes_')}"] if one.option else [one.name]
            more = {"dest": one.name} if one.option else {"nargs": None if one.required else "?"}
            switch = {"action": "store_true"} if one.switch else {}
            made.add_argument(*words, help=one.help, **more, **switch)  # type: ignore[arg-type]
    return parser


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"{message}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
