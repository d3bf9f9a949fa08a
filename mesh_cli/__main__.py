"""Entry point of the ``mesh`` command: the one list of its verbs."""

import typer

from mesh_cli import observe, policies, status

app = typer.Typer(
    name="mesh",
    help="Operate the mesh: policies, their state in every proxy, and the demo's scenarios.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)
app.add_typer(policies.app, name="policies")
app.command("status")(status.status)
app.command("wait")(status.wait)
app.command("observe")(observe.observe)


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
