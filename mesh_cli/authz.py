"""``mesh authz why``: why a request is allowed or denied."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh_cli import asking, output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh_simulation.decision import Decision, Inbound

app = typer.Typer(help="Who may do what, and why.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Who may do what, and why."""


@app.command()
def why(
    files: asking.Files,
    to: Annotated[str, typer.Option("--to", help="Service that is asked: HOST[:PORT], or a URL.")],
    source: Annotated[
        str, typer.Option("--from", help="Who asks: NAME.NAMESPACE of a workload, or outside.")
    ] = "outside",
    path: Annotated[str, typer.Option(help="Path that is asked for.")] = "/",
    method: asking.Method = "GET",
    header: asking.Header = None,
    principal: asking.Principal = None,
    claim: asking.Claim = None,
    via: asking.Via = "",
    source_ip: asking.SourceIp = "",
    inventory: asking.Inventory = None,
    namespace: asking.Namespace = "default",
    form: asking.Form = output.Form.TEXT,
) -> None:
    """Tell the verdict on a request for each kind of workload that may get it: policy, rule, the first clause that failed.

    Ends with 0 when it is allowed everywhere, 1 when it is denied somewhere, 2 when it cannot be asked: nobody of the mesh
    decides about a host and port that are no service of it.
    """
    mesh = asking.load(files, inventory, namespace)
    url, fields = _asked(to, path, header or ())
    request = asking.request_of(url, source, method, fields, principal, claim or (), via=via, source_ip=source_ip)
    decision = asking.decide(mesh, request)
    rows = _rows(decision)
    if _leaves_the_mesh(decision):
        output.fail(
            f"{decision.request}: goes to {decision.destinations[0].cluster}: no service of the mesh has this host and port,"
            " so nobody of the mesh decides there",
            asking.UNREADABLE,
        )
    if not rows and decision.status not in (200, 401, 403):
        output.fail(f"{decision.request}: comes to no workload: {decision.summary}", asking.UNREADABLE)
    allowed = all(row["allowed"] for row in rows) and decision.status == 200
    if form is output.Form.JSON:
        output.result(
            {"request": str(decision.request), "allowed": allowed, "status": decision.status, "verdicts": rows}
        )
    else:
        output.tell(f"{decision.request}: {'allowed' if allowed else 'denied'}, {decision.summary}")
        for row in rows:
            output.tell(f"  {row['at']}: {row['text']}")
    if not allowed:
        raise typer.Exit(1)


def _asked(to: str, path: str, fields: "Sequence[str]") -> "tuple[str, Sequence[str]]":
    """The URL, and the fields: of a path in the absolute form (RFC 9112, 3.2.2) the host counts, and not the field's."""
    url = to if "://" in to else f"http://{to}"
    if "/" in url.partition("://")[2]:
        if path != "/":
            output.fail(f"--path {path!r}: --to {to!r} has a path already; leave one of them out", asking.UNREADABLE)
        return url, fields
    scheme, found, rest = path.partition("://")
    if found and scheme in ("http", "https"):
        host, slash, rest = rest.partition("/")
        others = [field for field in fields if field.partition(":")[0].strip().lower() != "host"]
        return f"{url}{slash}{rest}", [*others, f"host: {host}"]
    if not path.startswith("/"):
        output.fail(f"--path {path!r}: must begin with '/', or be http://HOST/PATH", asking.UNREADABLE)
    return url + path, fields


def _leaves_the_mesh(decision: "Decision") -> bool:
    from mesh_control.compiler.defaults import PASSTHROUGH

    return any(destination.cluster == PASSTHROUGH for destination in decision.destinations)


def _rows(decision: "Decision") -> list[dict[str, Any]]:
    from mesh_simulation.story import verdict_line

    rows = []
    own = decision.authorization
    if own is not None:
        rows.append({"at": f"gateway {decision.source}", "allowed": own.allowed, "text": verdict_line(own)})
    for destination in decision.destinations:
        rows += [_row(inbound) for inbound in destination.inbound]
        if destination.status == 200 and not destination.inbound:
            text = "nobody of the mesh decides there: it is no workload of the mesh"
            rows.append({"at": destination.cluster, "allowed": True, "text": text})
    return list({str(row): row for row in rows}.values())


def _row(inbound: "Inbound") -> dict[str, Any]:
    from mesh_simulation.story import verdict_line

    verdict = inbound.authorization
    who = inbound.principal or "nobody"
    found: dict[str, Any] = {
        "at": ", ".join(inbound.workloads),
        "allowed": inbound.status == 200,
        "status": inbound.status,
        "transport": inbound.transport,
        "mode": inbound.mode,
        "principal": inbound.principal,
        "token": inbound.authentication,
    }
    if verdict is not None:
        found |= {"policy": verdict.policy, "rule": verdict.rule, "reason": verdict.reason, "place": verdict.place}
        text = verdict_line(verdict)
    elif inbound.status != 200:
        text = f"refused before authorization: {inbound.details}"
    elif not inbound.sidecar:
        text = "allowed: the workload has no proxy that could refuse"
    else:
        text = "allowed: no AuthorizationPolicy selects the workload"
    token = f", token {inbound.authentication}" if inbound.authentication else ""
    return found | {"text": f"{text} ({inbound.transport} as {who}{token})"}
