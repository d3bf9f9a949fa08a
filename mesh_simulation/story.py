"""A decision as a short text, and as plain values."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from mesh_simulation.decision import Decision, Destination, Inbound, Verdict


def story(decision: Decision) -> str:
    """Who, listener, route, clusters, what their proxies say, and what the client gets."""
    return "\n".join(_lines(decision))


def _lines(decision: Decision) -> Iterator[str]:
    yield str(decision.request)
    if decision.listener:
        yield f"  listener  {decision.listener}" + (f", chain {decision.chain}" if decision.chain else "")
    if decision.authentication:
        yield f"  token     {decision.authentication}"
    if decision.authorization is not None:
        yield f"  authorization {verdict_line(decision.authorization)}"
    if decision.route is not None:
        yield f"  route     {decision.route}"
    yield from _conditions(decision)
    for destination in decision.destinations:
        yield from _destination(destination)
    for cluster, share in decision.mirrors:
        yield f"  mirror    {share:g} % to {cluster}"
    for name, value in decision.response_headers:
        yield f"  answer    {name}: {value}"
    flags = f" {decision.flags}" if decision.flags else ""
    location = f", to {decision.location}" if decision.location else ""
    answer = "" if decision.status else ":"
    yield f"  result    {_status(decision.status)}{answer}{flags} {decision.details}{location}".rstrip()
    if len(decision.outcomes) > 1:
        for (cluster, status, flag), share in decision.outcomes.items():
            yield f"            {share:g} %: {_status(status)}{f' {flag}' if flag else ''} {cluster}"
    for line in decision.not_simulated:
        yield f"  not simulated: {line}"


def _conditions(decision: Decision) -> Iterator[str]:
    if decision.timeout:
        yield f"  timeout   {decision.timeout:g} s"
    if decision.retries is not None and decision.route is not None and decision.route.policy:
        per_try = f", {decision.retries.per_try:g} s each" if decision.retries.per_try else ""
        yield f"  retries   {decision.retries.attempts} on {', '.join(decision.retries.on)}{per_try}"
    fault = decision.fault
    if fault is not None and fault.delay is not None and fault.delay_share:
        yield f"  fault     delay {fault.delay:g} s for {fault.delay_share:g} %"
    if fault is not None and fault.abort and fault.abort_share:
        yield f"  fault     abort {fault.abort} for {fault.abort_share:g} %"
    if decision.cors:
        yield f"  CORS      {decision.cors}"


def _destination(destination: Destination) -> Iterator[str]:
    count = len(destination.endpoints)
    hosts = "" if destination.status == 503 and destination.flags == "NC" else f", {count} endpoint{'s' * (count != 1)}"
    yield f"  cluster   {destination.cluster} ({destination.weight:g} %{hosts})"
    sent = destination.request
    if sent is not None:
        yield f"    sends   {sent.method} {sent.host}{sent.target}"
    if not destination.inbound and destination.details != "via_upstream":
        yield f"    result  {destination.status} {destination.flags} {destination.details}"
    for inbound in destination.inbound:
        yield from _inbound(inbound)


def _inbound(inbound: Inbound) -> Iterator[str]:
    more = len(inbound.workloads) - 3
    names = ", ".join(inbound.workloads[:3]) + (f" and {more} more" if more > 0 else "")
    if not inbound.sidecar:
        yield f"    inbound {names}: no proxy, {inbound.transport}"
        return
    by = f" by {inbound.mode_from}" if inbound.mode_from else ""
    who = f" as {inbound.principal}" if inbound.principal else ""
    yield f"    inbound {names}: {inbound.transport}{who}, mTLS is {inbound.mode}{by}"
    if inbound.authentication:
        yield f"      token {inbound.authentication}"
    if inbound.authorization is not None:
        yield f"      authorization {verdict_line(inbound.authorization)}"
    if inbound.status != 200:
        flags = f" {inbound.flags}" if inbound.flags else ""
        yield f"      result {_status(inbound.status)}{flags} {inbound.details}"


def summary(decision: Decision) -> str:
    """Status, flags, where to, and who refuses: ``200 reviews|v1 90 %, reviews|v2 10 %``."""
    head = f"{decision.status or 'closed'}" + (f" {decision.flags}" if decision.flags else "")
    if decision.location:
        return f"{head} to {decision.location}"
    if not decision.destinations:
        return f"{head} {decision.details}".rstrip()
    return f"{head} {', '.join(_to(item) for item in decision.destinations)}"


def _to(destination: Destination) -> str:
    host = destination.host.removesuffix(".svc.cluster.local")
    name = f"{host}:{destination.port}" + (f" {destination.subset}" if destination.subset else "")
    share = "" if destination.weight == 100 else f" {destination.weight:g} %"
    refused = {f"{i.status or 'closed'}{_by(i)}" for i in destination.inbound if i.status != 200}
    alone = f" ({destination.status} {destination.flags})" if destination.status != 200 and not refused else ""
    return name + share + (f" ({', '.join(sorted(refused))})" if refused else alone)


def _by(inbound: Inbound) -> str:
    verdict = inbound.authorization
    if verdict is not None and not verdict.allowed:
        return f" by {verdict.policy}" if verdict.policy else " by default"
    return f" {inbound.details.rpartition(': ')[2]}"


def verdict_line(verdict: Verdict) -> str:
    """``denied by AuthorizationPolicy ns/name rule 0: why``."""
    said = "allowed" if verdict.allowed else "denied"
    by = f" by AuthorizationPolicy {verdict.policy}" if verdict.policy else ""
    rule = f" rule {verdict.rule}" if verdict.rule is not None else ""
    place = f" ({verdict.place})" if verdict.place else ""
    return f"{said}{by}{rule}{place}" + (f": {verdict.reason}" if verdict.reason else "")


def _status(status: int) -> str:
    return str(status) if status else "connection closed without an answer"


def plain(decision: Decision) -> dict[str, Any]:
    """See :meth:`Decision.to_json`."""
    found = asdict(decision)
    found["request"] = {name: value for name, value in found["request"].items() if value not in (None, "", {})}
    found["outcomes"] = [
        {"cluster": cluster, "status": status, "flags": flags, "share": share}
        for (cluster, status, flags), share in decision.outcomes.items()
    ]
    return found
