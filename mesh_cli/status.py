"""``mesh status`` and ``mesh wait``: who has taken what."""

import typer

from mesh_cli import output
from mesh_cli.policies import DEFAULT_SOCKET, Form, Socket, Wait, call
from mesh_control.client import ControlClient


def status(socket: Socket = DEFAULT_SOCKET, form: Form = output.Form.TEXT) -> None:
    """What each proxy was sent and has taken."""
    found = call(ControlClient(socket).status())
    if form is output.Form.JSON:
        output.result(found)
        return
    kinds = ("CDS", "EDS", "LDS", "RDS")
    rows = [
        [name, "yes" if proxy["synced"] else "NO", *(_state(proxy["types"][kind]) for kind in kinds)]
        for name, proxy in found["proxies"].items()
    ]
    rows += [[name, "not connected", *("-" for _ in kinds)] for name in found["missing"]]
    typer.echo(output.table(["proxy", "synced", *kinds], rows))
    for name, proxy in found["proxies"].items():
        for kind in kinds:
            if proxy["types"][kind]["error"]:
                output.say(f"{name} refused {kind}: {proxy['types'][kind]['error']}")
    for problem in found["problems"]:
        output.say(problem)


def _state(kind: dict[str, str]) -> str:
    if kind["error"]:
        return "REFUSED"
    if not kind["sent"]:
        return "not sent"
    return "taken" if kind["sent"] == kind["acked"] else "sent"


def wait(socket: Socket = DEFAULT_SOCKET, seconds: Wait = 60.0) -> None:
    """Wait until every connected proxy has taken the newest configuration; ends with 1 when one has not."""
    found = call(ControlClient(socket).wait(seconds))
    typer.echo(f"every proxy has taken {found['version']}")
