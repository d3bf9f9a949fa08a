"""A header decides: ``x-api-version: v2`` is redirected from ``/api/v1`` to ``/api/v2``."""

from urllib.parse import urlsplit

from mesh_cli.scenarios.client import Client
from mesh_cli.scenarios.report import Report, Say


async def observe(client: Client, say: Say) -> Report:
    """Ask with and without the header, then follow."""
    report = Report("routing")
    say("GET /api/v1, plain and with x-api-version: v2")
    plain = await client.get("/api/v1")
    report.expect("/api/v1 answers 200", plain.status, plain.status == 200)
    marked = await client.get("/api/v1", {"x-api-version": "v2"})
    report.expect("with the header it answers 301", marked.status, marked.status == 301)
    location = marked.headers.get("location", "")
    report.expect("to /api/v2", location, urlsplit(location).path == "/api/v2")
    followed = await client.get(urlsplit(location).path or "/", {"x-api-version": "v2"})
    seen = f"{followed.status} {followed.body[:60]}"
    report.expect("a client that follows gets v2", seen, followed.status == 200 and "v2" in followed.body)
    return report
