"""``mesh proxy-config``: what a proxy was sent and has taken."""

from typing import Annotated, Any

import typer

from mesh_cli import output
from mesh_cli.policies import DEFAULT_SOCKET, Form, Socket, call
from mesh_control.client import ControlClient

LISTS = {
    "clusters": ("ClustersConfigDump", "dynamic_active_clusters"),
    "listeners": ("ListenersConfigDump", "dynamic_listeners"),
    "routes": ("RoutesConfigDump", "dynamic_route_configs"),
    "endpoints": ("EndpointsConfigDump", "dynamic_endpoint_configs"),
}
"""Part to Envoy's message, and its list of resources."""


def proxy_config(
    proxy: Annotated[str, typer.Argument(help="NAME.NAMESPACE of a connected proxy, as mesh status has it.")],
    part: Annotated[str, typer.Argument(help=f"One of {', '.join(LISTS)}; all of them where none is named.")] = "",
    socket: Socket = DEFAULT_SOCKET,
    form: Form = output.Form.TEXT,
) -> None:
    """What a proxy was sent and has taken; as JSON in the shape of Envoy's /config_dump."""
    if part and part not in LISTS:
        output.fail(f"{part!r} is none of {', '.join(LISTS)}", 2)
    found = call(ControlClient(socket).proxy_config(proxy))
    wanted = [part] if part else list(LISTS)
    by_kind = {config["@type"].rpartition(".")[2]: config for config in found["configs"]}
    if form is output.Form.JSON:
        output.result({"configs": [by_kind[LISTS[name][0]] for name in wanted]})
        return
    rows = [row for name in wanted for row in _rows(name, by_kind[LISTS[name][0]])]
    output.tell(output.table(["part", "name", "what", "version"], rows))
    for name in wanted:
        config = by_kind[LISTS[name][0]]
        if config["state"] != "SYNCED":
            reason = config.get("error_state", {}).get("details", "")
            output.say(f"{name}: {config['state']}" + (f": {reason}" if reason else ""))


def _rows(part: str, config: dict[str, Any]) -> list[list[str]]:
    found = []
    for item in config[LISTS[part][1]]:
        state = item.get("active_state", item)
        resource = next(value for key, value in state.items() if key not in ("version_info", "name"))
        name = resource.get("name") or resource.get("cluster_name", "")
        found.append([part, name, _told(part, resource), state["version_info"]])
    return found


def _told(part: str, resource: dict[str, Any]) -> str:
    """The one thing that one looks for first."""
    if part == "clusters":
        return str(resource.get("type", "STATIC"))
    if part == "listeners":
        socket = resource.get("address", {}).get("socket_address", {})
        return f"{socket.get('address', '-')}:{socket.get('port_value', '-')}"
    if part == "routes":
        return f"{len(resource.get('virtual_hosts', ()))} virtual hosts"
    return f"{sum(len(locality.get('lb_endpoints', ())) for locality in resource.get('endpoints', ()))} endpoints"
