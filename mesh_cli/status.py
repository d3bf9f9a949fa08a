"""``mesh status`` and ``mesh wait``: who has taken what."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

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
    elsewhere = "not connected"
    if "replica" in found:
        leads = ", which leads" if found["replica"]["leads"] else ""
        output.say(f"replica {found['replica']['name']}{leads}: proxies of other replicas are told there")
        elsewhere = "not here"
    kinds = ("CDS", "EDS", "LDS", "RDS")
    rows = [
        [name, "yes" if proxy["synced"] else "NO", *(proxy["types"][kind]["state"] for kind in kinds)]
        for name, proxy in found["proxies"].items()
    ]
    rows += [[name, elsewhere, *("-" for _ in kinds)] for name in found["missing"]]
    output.tell(output.table(["proxy", "synced", *kinds], rows))
    for name, proxy in found["proxies"].items():
        for kind in kinds:
            if proxy["types"][kind]["error"]:
                output.say(f"{name} refused {kind}: {proxy['types'][kind]['error']}")
    for entry in found.get("registrations", ()):
        output.say(_registered(entry))
    if len(sources := found.get("sources", ())) > 1:
        output.say(
            "sources: " + ", ".join(s["name"] if s["synced"] else f"{s['name']} (not known yet)" for s in sources)
        )
    for problem in found["problems"]:
        output.say(problem)
    if "authority" in found:
        output.say(_expiry(found["authority"]))
        if found["authority"]["problem"]:
            output.say(found["authority"]["problem"])


def _expiry(authority: dict[str, Any]) -> str:
    roots = ", ".join(f"{root['phase']} root until {output.moment(root['expires'])}" for root in authority["roots"])
    return f"certificates: {authority['certificates']} valid; {roots}"


def _registered(entry: dict[str, Any]) -> str:
    where = "connected" if entry["connected"] else f"gone, and forgotten at {output.moment(entry['ends'])}"
    said = f" ({entry['message']})" if entry["message"] else ""
    return f"{entry['namespace']}/{entry['name']}: registered by {entry['proxy']}: {where}, {entry['health']}{said}"


def wait(
    subjects: Annotated[
        list[str] | None, typer.Argument(help="Of a cluster, only these policies: 'KIND NAMESPACE/NAME' ...")
    ] = None,
    socket: Socket = DEFAULT_SOCKET,
    seconds: Wait = 60.0,
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Login of a cluster, of whose policies the conditions are looked at.")
    ] = None,
) -> None:
    """Wait until every connected proxy has taken the newest configuration; ends with 1 when one has not."""
    if kubeconfig is not None:
        _wait_in_cluster(kubeconfig, tuple(subjects or ()), seconds)
        return
    if subjects:
        output.fail("policies can be named of a cluster only; give --kubeconfig, or no names", 2)
    found = call(ControlClient(socket).wait(seconds))
    output.tell(f"every proxy has taken {found['version']}")


def _wait_in_cluster(kubeconfig: Path, subjects: tuple[str, ...], seconds: float) -> None:
    from mesh_cli.cluster_policies import NotInForceError, until_in_force
    from mesh_control.sources.kubernetes.access import AccessError, from_kubeconfig
    from mesh_control.sources.kubernetes.api import Api, ApiError

    async def waited() -> int:
        async with Api(from_kubeconfig(kubeconfig)) as api:
            return await until_in_force(api, subjects, seconds)

    try:
        count = asyncio.run(waited())
    except AccessError as error:
        output.fail(str(error), 2)
    except (ApiError, NotInForceError) as error:
        output.fail(str(error))
    output.tell(f"{count} policies are in force at every proxy")
