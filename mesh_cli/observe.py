"""``mesh observe SCENARIO``: make a scenario's requests and say what was seen."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from mesh_cli import output
from mesh_cli.scenarios import SCENARIOS
from mesh_cli.scenarios.client import Client
from mesh_cli.scenarios.report import Report

LAPTOP = "http://127.0.0.1:18080"


def observe(
    scenario: Annotated[str, typer.Argument(help=f"One of: {', '.join(SCENARIOS)}.")],
    gateway: Annotated[str, typer.Option(help=f"URL of the ingress gateway; unset: {LAPTOP}, or the cluster's.")] = "",
    host: Annotated[str, typer.Option(help="Host to ask for.")] = "book-store.local",
    direct: Annotated[str, typer.Option(help="URL of a workload behind the gateway; unset: none is known.")] = "",
    statistics: Annotated[
        list[str] | None, typer.Option(help="WORKLOAD=URL of the statistics of its sidecar, again for each one.")
    ] = None,
    proxy: Annotated[str, typer.Option(help="HTTP proxy that leads there: http://HOST:PORT.")] = "",
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="Login of a cluster, which then says where gateway, workloads and sidecars are, and by which proxy."
        ),
    ] = None,
    form: Annotated[output.Form, typer.Option("--output", "-o", help="Form of the result.")] = output.Form.TEXT,
) -> None:
    """Make a scenario's requests through the gateway; ends with 1 when something was not seen that must be."""
    if scenario not in SCENARIOS:
        output.fail(f"there is no scenario {scenario!r}; allowed: {', '.join(SCENARIOS)}", 2)
    if kubeconfig is not None and (direct or statistics):
        output.fail("--kubeconfig says where workloads and sidecars are; leave --direct and --statistics out", 2)
    if proxy and not proxy.startswith("http://"):
        output.fail(f"--proxy {proxy}: http://HOST:PORT is wanted", 2)
    if kubeconfig is not None:
        report = _of_cluster(scenario, kubeconfig, gateway, host, proxy)
    else:
        pages = dict(_pair(text) for text in statistics or ())
        report = asyncio.run(_observe(scenario, Client(gateway or LAPTOP, host, direct, pages, proxy=proxy)))
    if form is output.Form.JSON:
        output.result({"scenario": scenario, "met": report.met, "expectations": [_row(item) for item in rows(report)]})
    else:
        output.tell(output.table(["", "must be seen", "was seen"], rows(report)))
    if not report.met:
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, str]:
    name, found, url = text.partition("=")
    if not (name and found and url):
        output.fail(f"--statistics {text}: WORKLOAD=URL is wanted", 2)
    return name, url


async def _observe(scenario: str, client: Client) -> Report:
    async with client:
        return await SCENARIOS[scenario](client, output.say)


def _of_cluster(scenario: str, kubeconfig: Path, gateway: str, host: str, proxy: str) -> Report:
    """As :func:`_observe`, of a cluster; what it does not have ends the command."""
    # Here, for `--help` is not to wait for them.
    from mesh_cli.scenarios.cluster import ClusterClient, ClusterError, find
    from mesh_control.sources.kubernetes.access import AccessError, from_kubeconfig
    from mesh_control.sources.kubernetes.api import Api, ApiError

    async def observed() -> Report:
        access = from_kubeconfig(kubeconfig)
        async with Api(access) as api:
            found = await find(api, gateway)
            output.say(f"the gateway is at {found.gateway}")
            return await _observe(scenario, ClusterClient(api, found, host, proxy or access.proxy))

    try:
        return asyncio.run(observed())
    except (AccessError, ApiError, ClusterError) as error:
        output.fail(str(error), 2)


def rows(report: Report) -> list[tuple[str, str, str]]:
    """The expectations as rows: ``yes`` or ``NO``, what, seen."""
    return [("yes" if item.met else "NO", item.what, item.seen) for item in report.expectations]


def _row(row: tuple[str, str, str]) -> dict[str, object]:
    return {"met": row[0] == "yes", "what": row[1], "seen": row[2]}
