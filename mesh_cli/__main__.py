"""Entry point of the ``mesh`` command: answers at once what needs no verb, and hands everything else to the verb."""

import gc
import os
import sys

from mesh_cli.verbs import VERBS, help_text


def main() -> None:
    """Run the command; what reads its output may end before it, or not be there at all."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115 (as long as the command)
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Python writes what is left once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.stderr.write(f"mesh: {error.filename or 'the output'}: {error.strerror or error}\n")
        sys.exit(2)


def _run() -> None:
    arguments = sys.argv[1:]
    # A shell that asks for completions says so in the environment, and passes no arguments.
    if "_MESH_COMPLETE" not in os.environ and (code := _at_once(arguments)) is not None:
        sys.exit(code)
    from mesh_cli.commands import app  # typer: see there

    # What a command reads lives as long as the command: looking for rubbish there costs `mesh analyze` a fifth.
    gc.set_threshold(200_000, 50, 100)
    app(prog_name="mesh")


def _at_once(arguments: list[str]) -> int | None:
    """Answer what needs no verb to run, and give the exit code; None when it is not that."""
    first = arguments[0] if arguments else ""
    if first == "--help":
        sys.stdout.write(help_text() + "\n")
        return 0
    if first == "--version":
        from importlib.metadata import version

        sys.stdout.write(f"mesh {version('meshwright')}\n")
        return 0
    if not first:
        sys.stderr.write(help_text() + "\n")
        return 2
    if not first.startswith("-") and first not in VERBS:
        from difflib import get_close_matches

        near = get_close_matches(first, VERBS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
        sys.stderr.write(f"there is no verb {first!r}; {hint}\n")
        return 2
    if arguments[-1] == "--help":
        from mesh_cli.commands import help_of

        if (text := help_of(arguments[:-1])) is not None:
            sys.stdout.write(text + "\n")
            return 0
    return None


if __name__ == "__main__":
    main()
