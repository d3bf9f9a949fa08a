"""``mesh cluster``: the verbs of a cluster's life.

What they do is the project's checkout's (``stacks.operations``), with Ansible; a process of its own does it, so that the
mesh's own programs depend on neither.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mesh_cli import output

app = typer.Typer(help="A Kubernetes cluster on your machines: make, change, keep and end it.", no_args_is_help=True)
Inventory = Annotated[
    Path | None, typer.Option("--inventory", "-i", help="The machines: an inventory of Ansible's.", show_default=False)
]
Environment = Annotated[
    str, typer.Option("--environment", "-e", help="An environment, whose inventory is taken.", show_default=False)
]
Password = Annotated[
    Path | None,
    typer.Option(
        "--vault-password-file", help="Opens the vault; without, .vault_pass of the project.", show_default=False
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without being asked.")]
Form = Annotated[output.Form, typer.Option("--output", "-o", help="How to print it.")]
Cluster = Annotated[str, typer.Option("--cluster", help="The cluster's name: nothing takes this back.")]


@app.command()
def preflight(
    inventory: Inventory = None, environment: Environment = "", password: Password = None, form: Form = output.Form.TEXT
) -> None:
    """Tell everything that stands in the way, on all machines at once. Changes nothing; ends with 1 where something does."""
    _run("preflight", inventory, environment, password, f"--output={form.value}")


@app.command()
def create(
    inventory: Inventory = None, environment: Environment = "", password: Password = None, yes: Yes = False
) -> None:
    """Make a cluster of the inventory's machines, or what of one is missing."""
    _run("create", inventory, environment, password, *_sure(yes))


@app.command()
def add(
    inventory: Inventory = None, environment: Environment = "", password: Password = None, yes: Yes = False
) -> None:
    """Have machines in the cluster that have been added to the inventory."""
    _run("add", inventory, environment, password, *_sure(yes))


@app.command()
def remove(
    machines: Annotated[str, typer.Argument(metavar="MACHINES", help="Names, with commas between them.")],
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """Take machines out of the cluster, drained one after the other. One that does not answer is taken out all the same."""
    _run("remove", inventory, environment, password, machines, *_sure(yes))


@app.command()
def join(
    machines: Annotated[
        str, typer.Argument(metavar="[MACHINES]", help="Names, with commas between them.", show_default=False)
    ] = "",
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """Have machines beside the cluster in the mesh of its pods: those that are named, else all of the inventory's."""
    _run("join", inventory, environment, password, *([machines] if machines else []), *_sure(yes))


@app.command()
def leave(
    machines: Annotated[str, typer.Argument(metavar="MACHINES", help="Names, with commas between them.")],
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """Take machines beside the cluster out of the mesh of its pods, with everything of it on them."""
    _run("leave", inventory, environment, password, machines, *_sure(yes))


@app.command()
def upgrade(
    version: Annotated[str, typer.Option(help="The version, instead of the inventory's.", show_default=False)] = "",
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """Bring the cluster to the inventory's version, of its minor version or the next, node by node."""
    _run("upgrade", inventory, environment, password, *([f"--version={version}"] if version else []), *_sure(yes))


@app.command()
def certificates(
    force: Annotated[bool, typer.Option("--force", help="Renew them however long they are good for.")] = False,
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """Renew the control plane's certificates, node by node, where one ends soon."""
    _run("certificates", inventory, environment, password, *(["--force"] if force else []), *_sure(yes))


@app.command()
def backup(
    file: Annotated[
        Path | None, typer.Option("--backup", metavar="FILE", help="Where it is kept.", show_default=False)
    ] = None,
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """Keep an encrypted copy of the cluster's database. It holds every Secret of the cluster."""
    _run("backup", inventory, environment, password, *([f"--backup={file}"] if file else []), *_sure(yes))


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")],
    cluster: Cluster,
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """Put a backup back: everything in the cluster is as it was then."""
    _run("restore", inventory, environment, password, str(file), f"--cluster={cluster}", *_sure(yes))


@app.command()
def reset(
    cluster: Cluster,
    inventory: Inventory = None,
    environment: Environment = "",
    password: Password = None,
    yes: Yes = False,
) -> None:
    """End the cluster, with all that is in it."""
    _run("reset", inventory, environment, password, f"--cluster={cluster}", *_sure(yes))


@app.command()
def status(
    inventory: Inventory = None, environment: Environment = "", password: Password = None, form: Form = output.Form.TEXT
) -> None:
    """Tell how the cluster does. Ends with 1 where a machine of the control plane or a node is not well."""
    _run("status", inventory, environment, password, f"--output={form.value}")


def _sure(yes: bool) -> list[str]:
    return ["--yes"] if yes else []


def _run(verb: str, inventory: Path | None, environment: str, password: Path | None, *words: str) -> None:
    """Hand the verb on, and end as it does."""
    for module, mend in (
        ("stacks", "run it by `.venv/bin/mesh` of the project's checkout (make setup)"),
        ("ansible", "install meshwright[infra] (make setup)"),
    ):
        if find_spec(module) is None:
            output.fail(f"`mesh cluster` is done by {module}, which is not here: {mend}")
    places = [f"--inventory={inventory}"] if inventory else []
    places += [f"--environment={environment}"] if environment else []
    places += [f"--vault-password-file={password}"] if password else []
    command = [sys.executable, "-m", "stacks.operations", verb, *places, *words]
    try:
        done = subprocess.run(command, check=False, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    except KeyboardInterrupt:  # the other process has been told as well, and has said what there is to say
        raise typer.Exit(1) from None
    raise typer.Exit(done.returncode)
