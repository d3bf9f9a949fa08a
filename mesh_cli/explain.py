"""``mesh explain``: what a response flag, or a line of an access log, says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from mesh_cli import output, reading
from mesh_cli.access_lines import MEANINGS, LineError, parse
from mesh_cli.flags import FLAGS, Meaning, details_meaning

_POLICY = re.compile(
    r"ns\[(?P<namespace>[^\]]*)\]-policy\[(?P<name>[^\]]*)\]-rule\[(?P<rule>\d+)\](?::(?P<condition>[^,}]+))?"
)
_CLUSTER = re.compile(r"(outbound|inbound)\|(\d+)\|([^|]*)\|(.*)")


def explain(
    what: Annotated[
        list[str], typer.Argument(help="A response flag (UH), details, or a line of an access log, quoted.")
    ],
    files: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="Policies, to name the ones behind it with file and line.")
    ] = None,
    form: Annotated[output.Form, typer.Option("--output", "-o", help="Form of the result.")] = output.Form.TEXT,
) -> None:
    """Tell what a response flag or an access-log line means: causes, where to look, how to mend.

    Ends with 2 for what is neither, and for files that cannot be read.
    """
    text = " ".join(what)
    policies = _policies(files or [])
    found = _flags(text) or _details(text) or _line(text)
    if policies is not None:
        found["policies"] = list(_behind(found, policies))
    if form is output.Form.JSON:
        output.result(found)
    else:
        output.tell("\n".join(_written(found)))


def _flags(text: str) -> dict[str, Any]:
    names = [part.strip().upper() for part in text.split(",")]
    by_long = {meaning.name.lower(): short for short, meaning in FLAGS.items()}
    names = [by_long.get(name.lower(), name) for name in names]
    return {"flags": {name: FLAGS[name]._asdict() for name in names}} if all(name in FLAGS for name in names) else {}


def _details(text: str) -> dict[str, Any]:
    meaning = details_meaning(text.strip())
    return {"details": {"text": text.strip(), "means": meaning}} if meaning else {}


def _line(text: str) -> dict[str, Any]:
    try:
        fields = parse(text)
    except LineError as error:
        known = ", ".join(FLAGS)
        output.fail(f"{text[:60]!r}: {error}; flags are {known}", 2)
    found: dict[str, Any] = {"fields": fields}
    flags = [flag for flag in fields.get("response_flags", "").split(",") if flag in FLAGS]
    if flags:
        found["flags"] = {name: FLAGS[name]._asdict() for name in flags}
    details = fields.get("response_code_details", "")
    if details:
        found["details"] = {"text": details, "means": details_meaning(details)}
    return found


def _written(found: dict[str, Any]) -> Iterator[str]:
    for name, value in found.get("fields", {}).items():
        yield f"{name.ljust(34)} {value}   ({_meaning(name, value)})"
    if "details" in found:
        yield f"{found['details']['text']}: {found['details']['means'] or 'no known details; ask the software that wrote it'}"
    for short, values in found.get("flags", {}).items():
        meaning = Meaning(**values)
        yield f"{short} {meaning.name}: {meaning.means}"
        yield from (f"  cause  {cause}" for cause in meaning.causes)
        yield f"  look   {meaning.look}"
        yield f"  mend   {meaning.mend}"
    for item in found.get("policies", ()):
        yield f"policy   {item['kind']} {item['namespace']}/{item['name']} at {item['place']}: {item['why']}"


def _meaning(name: str, value: str) -> str:
    cluster = _CLUSTER.fullmatch(value)
    if name == "upstream_cluster" and cluster is not None:
        direction, port, subset, host = cluster.groups()
        if direction == "inbound":
            return f"to the application beside this proxy, its port {port}"
        return f"to {host}, port {port}" + (f", subset {subset}" if subset else "")
    return MEANINGS[name]


# The policies behind it.


def _policies(files: list[Path]) -> list[Any] | None:
    if not files:
        return None
    from mesh_policy import PolicyError, load_everything

    try:
        found = load_everything(reading.texts(files))
    except PolicyError as error:
        output.fail(str(error), 2)
    reading.say_passed_over(found.passed_over)
    return list(found.policies)


def _behind(found: dict[str, Any], policies: list[Any]) -> Iterator[dict[str, str]]:
    details = found.get("details", {}).get("text", "")
    fields = found.get("fields", {})
    nobody = "matched_policy[none]" in details
    named = None if nobody else _POLICY.search(details)
    failed = {(one["namespace"], one["name"]): one for one in _POLICY.finditer(details)} if nobody else {}
    cluster = _CLUSTER.fullmatch(fields.get("upstream_cluster", ""))
    host = cluster[4] if cluster is not None else fields.get("authority", "").partition(":")[0]
    for item in policies:
        policy = item.policy
        if named is not None:
            wanted = ("AuthorizationPolicy", named["namespace"], named["name"])
            if (policy.kind, policy.metadata.namespace, policy.metadata.name) == wanted:
                yield _told(item, ("spec", "rules", int(named["rule"])), f"rule {named['rule']} matched")
        elif nobody:
            if policy.kind == "AuthorizationPolicy" and policy.spec.action in (None, "ALLOW"):
                one = failed.get((policy.metadata.namespace, policy.metadata.name))
                if one is None:
                    yield _told(item, (), "allows, and no rule of it held if it selects the workload")
                else:
                    place = ("spec", "rules", int(one["rule"]))
                    yield _told(item, place, f"rule {one['rule']} did not hold: {one['condition']} failed first")
        elif host and policy.kind in ("VirtualService", "DestinationRule", "ServiceEntry"):
            yield from _of_host(item, host, found, fields, cluster)


def _of_host(
    item: Any, host: str, found: dict[str, Any], fields: dict[str, str], cluster: Any
) -> Iterator[dict[str, str]]:
    from mesh_policy.hosts import covers, qualify

    policy = item.policy
    names = [policy.spec.host] if policy.kind == "DestinationRule" else policy.spec.hosts or ()
    full = [qualify(name, policy.metadata.namespace) for name in names]
    if not any(
        covers(name, candidate) for name in full for candidate in (host, qualify(host, policy.metadata.namespace))
    ):
        return
    if policy.kind == "VirtualService":
        wanted = fields.get("route_name", "")
        for number, rule in enumerate(policy.spec.http or ()):
            if wanted and rule.name and wanted.startswith(rule.name):
                yield _told(item, ("spec", "http", number), f"its route {wanted} was taken")
                return
        yield _told(item, (), "rules this host")
    elif policy.kind == "DestinationRule" and cluster is not None and cluster[3]:
        subsets = [subset.name for subset in policy.spec.subsets or ()]
        there = cluster[3] in subsets
        why = (
            f"has the subset {cluster[3]}"
            if there
            else f"has no subset {cluster[3]}, but {', '.join(subsets) or 'none'}"
        )
        yield _told(item, ("spec", "subsets", subsets.index(cluster[3])) if there else ("spec", "subsets"), why)
    else:
        yield _told(item, (), "is about this host")


def _told(item: Any, path: tuple[str | int, ...], why: str) -> dict[str, str]:
    meta = item.policy.metadata
    place = f"{item.source}:{item.line(path)}"
    return {"kind": item.policy.kind, "namespace": meta.namespace, "name": meta.name, "place": place, "why": why}
