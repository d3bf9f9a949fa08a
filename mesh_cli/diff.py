"""``mesh diff --behaviour OLD NEW``: which requests two meshes treat differently."""

from pathlib import Path
from typing import Annotated

import typer

from mesh_cli import output, reading
from mesh_cli.asking import UNREADABLE, Form, Inventory, Namespace, read


def diff(
    old: Annotated[Path, typer.Argument(help="File or folder as it was.")],
    new: Annotated[Path, typer.Argument(help="File or folder as it is to be.")],
    behaviour: Annotated[bool, typer.Option("--behaviour", help="Compare what becomes of requests.")] = False,
    common: Annotated[
        list[Path] | None, typer.Option("--with", help="Files that belong to both, such as services and workloads.")
    ] = None,
    inventory: Inventory = None,
    namespace: Namespace = "default",
    form: Form = output.Form.TEXT,
) -> None:
    """Tell which requests change destination, status or verdict from OLD to NEW, one a line.

    The requests are made of the policies of both. Ends with 0 when nothing changes, 1 when something does, 2 when a file
    cannot be read.
    """
    if not behaviour:
        output.fail("say what to compare: mesh diff --behaviour OLD NEW", UNREADABLE)
    from mesh_simulation import behaviour_diff  # here, for the help is not to wait for it

    shared = common or []
    before, after = (read([file, *shared], inventory, namespace) for file in (old, new))
    reading.say_passed_over(list(dict.fromkeys((*before.passed_over, *after.passed_over))))
    changes = behaviour_diff(before, after)
    if form is output.Form.JSON:
        output.result({"changes": [change.to_json() for change in changes]})
    else:
        for change in changes:
            output.tell(str(change))
        output.say(
            f"{len(changes)} change{'s' * (len(changes) != 1)}"
            if changes
            else "no request that was tried is treated differently"
        )
    if changes:
        raise typer.Exit(1)
