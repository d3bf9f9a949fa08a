"""Half of the weight on a release whose ping is broken: about half of the pings fail."""

from mesh_cli.scenarios.client import Client, statuses
from mesh_cli.scenarios.report import Report, Say

PATH = "/api/v1/ping"
COUNT = 400
LOW, HIGH = 0.38, 0.62
"""Bounds for the share of 400 fair coin flips: beyond four standard deviations."""


async def observe(client: Client, say: Say) -> Report:
    """Ping 400 times and count."""
    report = Report("canary")
    say(f"{COUNT} pings")
    replies = [await client.get(PATH) for _ in range(COUNT)]
    found = statuses(replies)
    share = found.get(500, 0) / COUNT
    report.expect("only 200 and 500", found, set(found) <= {200, 500})
    report.expect("about half of the pings fail", f"{share:.0%}", LOW < share < HIGH)
    versions = sorted({reply.headers.get("x-version", "?") for reply in replies if reply.status == 500})
    report.expect("those of the new release", ", ".join(versions), versions == ["v1.2-break-ping"])
    return report
