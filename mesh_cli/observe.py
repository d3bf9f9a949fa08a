"""``mesh observe SCENARIO``: make a scenario's requests and say what was seen."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import typer

from mesh_cli import output
from mesh_cli.scenarios import SCENARIOS
from mesh_cli.scenarios.client import Client
from mesh_cli.scenarios.report import Report


def observe(
    scenario: Annotated[str, typer.Argument(help=f"One of: {', '.join(SCENARIOS)}.")],
    gateway: Annotated[str, typer.Option(help="URL of the ingress gateway.")] = "http://127.0.0.1:18080",
    host: Annotated[str, typer.Option(help="Host to ask for.")] = "book-store.local",
    direct: Annotated[str, typer.Option(help="URL of a workload behind the gateway; unset: none is known.")] = "",
    statistics: Annotated[
        list[str] | None, typer.Option(help="WORKLOAD=URL of the statistics of its sidecar, again for each one.")
    ] = None,
    form: Annotated[output.Form, typer.Option("--output", "-o", help="Form of the result.")] = output.Form.TEXT,
) -> None:
    """Make a scenario's requests through the gateway; ends with 1 when something was not seen that must be."""
    if scenario not in SCENARIOS:
        output.fail(f"there is no scenario {scenario!r}; allowed: {', '.join(SCENARIOS)}", 2)
    pages = dict(_pair(text) for text in statistics or ())
    report = asyncio.run(_observe(scenario, gateway, host, direct, pages))
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


async def _observe(scenario: str, gateway: str, host: str, direct: str, statistics: Mapping[str, str]) -> Report:
    async with Client(gateway, host, direct, statistics) as client:
        return await SCENARIOS[scenario](client, output.say)


def rows(report: Report) -> list[tuple[str, str, str]]:
    """The expectations as rows: ``yes`` or ``NO``, what, seen."""
    return [("yes" if item.met else "NO", item.what, item.seen) for item in report.expectations]


def _row(row: tuple[str, str, str]) -> dict[str, object]:
    return {"met": row[0] == "yes", "what": row[1], "seen": row[2]}
