"""``mesh authz why``: why a request is allowed or denied."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh_cli import output
from mesh_cli.asking import (
    UNREADABLE,
    Claim,
    Files,
    Form,
    Header,
    Inventory,
    Method,
    Namespace,
    Principal,
    SourceIp,
    Via,
    decide,
    load,
    request_of,
)

if TYPE_CHECKING:
    from mesh_simulation.decision import Decision, Inbound

app = typer.Typer(help="Who may do what, and why.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Who may do what, and why."""


@app.command()
def why(
    files: Files,
    to: Annotated[str, typer.Option("--to", help="Service that is asked: HOST[:PORT], or a URL.")],
    source: Annotated[
        str, typer.Option("--from", help="Who asks: NAME.NAMESPACE of a workload, or outside.")
    ] = "outside",
    path: Annotated[str, typer.Option(help="Path that is asked for.")] = "/",
    method: Method = "GET",
    header: Header = None,
    principal: Principal = None,
    claim: Claim = None,
    via: Via = "",
    source_ip: SourceIp = "",
    inventory: Inventory = None,
    namespace: Namespace = "default",
    form: Form = output.Form.TEXT,
) -> None:
    """Tell the verdict on a request for each kind of workload that may get it: policy, rule, the first clause that failed.

    Ends with 0 when it is allowed everywhere, 1 when it is denied somewhere, 2 when it cannot be asked.
    """
    mesh = load(files, inventory, namespace)
    url = to if "://" in to else f"http://{to}"
    url = url if "/" in url.partition("://")[2] else url + path
    request = request_of(url, source, method, header or (), principal, claim or (), via=via, source_ip=source_ip)
    decision = decide(mesh, request)
    rows = _rows(decision)
    if not rows and decision.status not in (200, 401, 403):
        output.fail(f"{decision.request}: comes to no workload: {decision.summary}", UNREADABLE)
    allowed = all(row["allowed"] for row in rows) and decision.status == 200
    if form is output.Form.JSON:
        output.result(
            {"request": str(decision.request), "allowed": allowed, "status": decision.status, "verdicts": rows}
        )
    else:
        typer.echo(f"{decision.request}: {'allowed' if allowed else 'denied'}, {decision.summary}")
        for row in rows:
            typer.echo(f"  {row['at']}: {row['text']}")
    if not allowed:
        raise typer.Exit(1)


def _rows(decision: "Decision") -> list[dict[str, Any]]:
    from mesh_simulation.story import verdict_line

    rows = []
    own = decision.authorization
    if own is not None:
        rows.append({"at": f"gateway {decision.source}", "allowed": own.allowed, "text": verdict_line(own)})
    for destination in decision.destinations:
        rows += [_row(inbound) for inbound in destination.inbound]
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
