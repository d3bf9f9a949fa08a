"""The verbs as one typer application, each made when it is asked for.

Imported only when a verb runs or a shell asks for completions: typer takes longer to import than ``mesh --help`` may.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from mesh_cli.verbs import VERBS, Verb, help_text

# Typer's own decoration imports rich, which takes longer than most verbs, and says no more.
_PLAIN: dict[str, Any] = {"rich_markup_mode": None, "pretty_exceptions_show_locals": False}


class _Commands(MutableMapping[str, Any]):
    """Name of a verb to its command, whose module is imported on the first look."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _command(name, VERBS[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


def _command(name: str, verb: Verb) -> Any:
    found = getattr(import_module(verb.module), verb.attribute)
    # With a callback it is a group, however many commands it has; typer hands its settings down in groups.
    around = typer.Typer(**_PLAIN, add_completion=False, callback=_nothing)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return typer.main.get_group(around).commands[name]


def _nothing() -> None:
    """A group needs something to call."""


class Verbs(TyperGroup):
    """The group of all verbs. What is said about them all comes from the table, so that no verb is imported for it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Commands()

    def get_help(self, _ctx: Any) -> str:
        """The help that the command shows without this module."""
        return help_text()

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """The verbs that begin so, or the command's own options."""
        if incomplete.startswith("-"):
            # Past the group's own method, which would import every verb to look at its name.
            return super(TyperGroup, self).shell_complete(ctx, incomplete)
        from typer._click.shell_completion import CompletionItem

        return [CompletionItem(name, help=verb.help) for name, verb in VERBS.items() if name.startswith(incomplete)]


def help_of(words: list[str]) -> str | None:
    """The help of a verb (``status``) or of one below it (``policies apply``); None when there is none of that name.

    Typer shows the same, but builds validators of pydantic before it looks at ``--help``.
    """
    command: Any = typer.main.get_command(app)
    context = typer.Context(command, info_name="mesh")
    for word in words:
        command = command.commands.get(word) if isinstance(command, TyperGroup) else None
        if command is None:
            return None
        context = typer.Context(command, info_name=word, parent=context)
    return str(command.get_help(context))


app = typer.Typer(cls=Verbs, name="mesh", no_args_is_help=True, callback=_nothing, **_PLAIN)
