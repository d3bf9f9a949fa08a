"""Ten errors in a row eject the host for 30 s: then 503 ``no healthy upstream``, and after 30 s it is tried again."""

import asyncio

from mesh_cli.scenarios.client import Client, Reply, statuses
from mesh_cli.scenarios.report import Report, Say

PATH = "/api/v1/ping"
ERRORS = 10
EJECTION = 30.0
SLACK = 15.0
"""The sweep that takes a host back runs every 10 s, so it may come back that much later."""


async def observe(client: Client, say: Say) -> Report:
    """Ping until the host is ejected, then until it is back."""
    report = Report("circuit-breaker")
    say(f"pings until {ERRORS} errors eject the host")
    first = [await client.get(PATH) for _ in range(ERRORS)]
    report.expect("ten times 500", statuses(first), statuses(first) == {500: ERRORS})
    then = [await client.get(PATH) for _ in range(5)]
    report.expect("then 503", statuses(then), statuses(then) == {503: 5})
    report.expect("no healthy upstream", then[-1].body, then[-1].body == "no healthy upstream")
    say(f"the host is ejected for {EJECTION:.0f} s")
    began = asyncio.get_running_loop().time()
    back = await _until_back(client, began + EJECTION + SLACK)
    waited = asyncio.get_running_loop().time() - began
    seen = f"{back.status} after {waited:.0f} s"
    report.expect("after 30 s the host is tried again", seen, back.status == 500 and waited > EJECTION - 5)
    return report


async def _until_back(client: Client, deadline: float) -> Reply:
    """The first answer that is not 503, or the last one before the deadline."""
    loop = asyncio.get_running_loop()
    while True:
        reply = await client.get(PATH)
        if reply.status != 503 or loop.time() > deadline:
            return reply
        await asyncio.sleep(1.0)
