"""A verb, from the look at all machines to its end."""

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks import playbooks
from stacks.operations import told
from stacks.operations.place import Place
from stacks.operations.verbs import VERBS, Verb
from stacks.playbooks import PlaybookError

PREFLIGHT = VERBS["preflight"]


class RefusedError(RuntimeError):
    """The verb does not begin; the message says what to do about it."""


@dataclass(slots=True)
class Operator:
    """Who runs verbs: on which machines, and how lines reach people. ``ask`` is None where nobody can be asked."""

    place: Place
    say: Callable[[str], None]
    ask: Callable[[str], bool] | None

    def report(self, verb: Verb, variables: Mapping[str, str]) -> dict[str, Any]:
        """What a verb that changes nothing reports. Raises :class:`PlaybookError` where it could not."""
        with tempfile.TemporaryDirectory(prefix="meshwright-report-") as directory:
            file = Path(directory, "report.json")
            try:
                self._play(verb, {**variables, "report": str(file)}, check=False, hear=lambda _event: None)
            except PlaybookError:
                if not file.exists():
                    raise
            return dict(json.loads(file.read_text()))

    def problems(self, verb: Verb, variables: Mapping[str, str]) -> list[dict[str, str]]:
        """What stands in the way of a verb."""
        report = self.report(PREFLIGHT, {**dict(verb.look), **_of_inventory(variables)})
        return told.problems(report, variables.get(verb.away, "").split(",") if verb.away else ())

    def carry_out(self, name: str, variables: Mapping[str, str], *, sure: bool) -> None:
        """Look, tell the plan, ask, and do it. Raises :class:`RefusedError` and :class:`PlaybookError`."""
        verb = VERBS[name]
        if not sure and self.ask is None:
            raise RefusedError("there is no terminal to be asked at; say --yes to do it without")
        found = self.problems(verb, variables)
        if found:
            raise RefusedError(told.problem_table(found))
        self.say("what would be done is looked at")
        foreseen = told.plan(self._play(verb, variables, check=True, hear=_quiet))
        if not foreseen:
            self.say("nothing to do")
            return
        self.say("\n".join(("", f"{verb.what} What would be done:", *(f"  {line}" for line in foreseen), "")))
        if not sure and self.ask is not None and not self.ask("do it?"):
            raise RefusedError("nothing was done")
        outcome = self._play(verb, variables, check=False, hear=told.Progress(self.say).hear)
        self.say(f"done: {len(outcome.changes)} changes")

    def _play(
        self, verb: Verb, variables: Mapping[str, str], *, check: bool, hear: playbooks.Hear
    ) -> playbooks.Outcome:
        given = dict(variables)
        if self.place.password_file is not None:
            given.setdefault("kubernetes_backup_password_file", str(self.place.password_file))
        return playbooks.operate(
            self.place.inventory, self.place.password_file, given, verb.playbook, check=check, hear=hear
        )


def _quiet(_event: playbooks.Event) -> None:
    """Nothing is said of a plan while it is made."""


def _of_inventory(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that stand for settings of the inventory."""
    return {name: value for name, value in variables.items() if name.startswith("kubernetes_")}


def terminal() -> Callable[[str], bool] | None:
    """Asks at the terminal; None without one."""
    if not sys.stdin.isatty():
        return None
    return lambda question: input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
