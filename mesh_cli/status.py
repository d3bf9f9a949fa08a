"""``mesh status`` and ``mesh wait``: who has taken what."""

from typing import Any

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


def wait(socket: Socket = DEFAULT_SOCKET, seconds: Wait = 60.0) -> None:
    """Wait until every connected proxy has taken the newest configuration; ends with 1 when one has not."""
    found = call(ControlClient(socket).wait(seconds))
    output.tell(f"every proxy has taken {found['version']}")
