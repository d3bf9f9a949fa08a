"""A route timeout of 15 s: slow requests end in 504 at 15 s, the others are untouched."""

from mesh_cli.scenarios.client import Client, statuses
from mesh_cli.scenarios.report import Report, Say

PATH = "/api/v1/books"
LIMIT = 15.0
TOLERANCE = 2.0
RATE = 20.0
SECONDS = 5


async def observe(client: Client, say: Say) -> Report:
    """Ask for the books 20 times a second for a while."""
    report = Report("timeout")
    count = int(RATE * SECONDS)
    say(f"{count} requests for {PATH}, {RATE:.0f} a second; slow ones take {LIMIT:.0f} s to end")
    replies = await client.paced(PATH, RATE, count)
    slow = [reply for reply in replies if reply.status == 504]
    quick = [reply for reply in replies if reply.status == 200]
    report.expect("only 200 and 504", statuses(replies), len(slow) + len(quick) == len(replies))
    times = [reply.seconds for reply in slow]
    span = f"{len(times)} between {min(times):.1f} s and {max(times):.1f} s" if times else "none"
    report.expect("slow ones end in 504 at 15 s", span, bool(times) and all(abs(t - LIMIT) < TOLERANCE for t in times))
    body = slow[0].body if slow else ""
    report.expect("504 says why", body, body == "upstream request timeout")
    worst = max((reply.seconds for reply in quick), default=0.0)
    report.expect("the others are untouched", f"{len(quick)}, at most {worst:.2f} s", bool(quick) and worst < LIMIT / 2)
    return report
