"""AuthorizationPolicies: for nobody, of namespaces that are not there, and those that refuse more than was meant."""

from collections.abc import Iterator, Mapping, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found
from mesh_policy.analysis.pods import Pod, labels_of, labels_text
from mesh_policy.objects.services import HTTP_PROTOCOLS
from mesh_policy.positions import Path
from mesh_policy.security.authorization_policy import AuthorizationPolicy, Rule

Authz = Placed[AuthorizationPolicy]
MEANT = ("deny", "nothing", "block", "refuse", "forbid")
"""A policy whose name has one of these words is meant to refuse."""


def workloads(context: Context) -> Iterator[Finding]:
    """IST0127: policies for nobody. Without a selector a policy is for all of its namespace, in the root one for all."""
    if context.pods is None or not context.knows_gateways:
        return
    for placed in context.of(AuthorizationPolicy):
        spec = placed.value.spec
        if spec.targets:
            continue
        labels = labels_of(spec.selector)
        if placed.namespace == context.root:
            if spec.selector is not None and not _any_in_mesh(context, labels, None):
                yield _nobody(placed, labels, "the mesh")
        elif not _any_in_mesh(context, labels, placed.namespace):
            yield _nobody(placed, labels, f"namespace {placed.namespace}")


def _any_in_mesh(context: Context, labels: Mapping[str, str], namespace: str | None) -> bool:
    """Whether a workload with a proxy is selected; one of a Deployment counts as well, for it will have its pods."""
    pods = context.pods.select(labels, namespace) if context.pods is not None else ()
    return any(pod.in_mesh or pod.ambient for pod in pods)


def _nobody(placed: Authz, labels: Mapping[str, str], where: str) -> Finding:
    carries = f"with {labels_text(labels)} " if labels else ""
    path: Path = ("spec", "selector", "matchLabels") if labels else ("spec",)
    return found("IST0127", placed, path, f"no workload {carries}in {where} has a proxy, so it is for nobody")


def namespaces(context: Context) -> Iterator[Finding]:
    """IST0101: namespaces that rules name."""
    if not (context.namespaces or context.known.whole):
        return
    known = set(context.namespaces)
    for placed in context.of(AuthorizationPolicy):
        for number, rule in enumerate(placed.value.spec.rules or ()):
            for index, source in enumerate(rule.from_ or ()):
                for field, names in (
                    ("namespaces", source.source.namespaces),
                    ("notNamespaces", source.source.not_namespaces),
                ):
                    for place, pattern in enumerate(names or ()):
                        if not _some(pattern, known):
                            path: Path = ("spec", "rules", number, "from", index, "source", field, place)
                            listed = ", ".join(sorted(known)[:20]) or "none"
                            message = f"no namespace {pattern!r} exists; known are {listed}"
                            yield found("IST0101", placed, path, message)


def _some(pattern: str, names: set[str]) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*"):
        return any(name.endswith(pattern[1:]) for name in names)
    if pattern.endswith("*"):
        return any(name.startswith(pattern[:-1]) for name in names)
    return pattern.lower() in {name.lower() for name in names}


def refuse_all(context: Context) -> Iterator[Finding]:
    """MESH0012: everything is refused, and nothing says that it is meant."""
    for placed in context.of(AuthorizationPolicy):
        spec = placed.value.spec
        if any(word in placed.name for word in MEANT) or placed.annotations.get("istio.io/dry-run") == "true":
            continue
        if spec.action in (None, "ALLOW") and not spec.rules:
            message = (
                "an ALLOW policy without rules allows nothing, so every request to its workloads is refused; to allow all "
                "write rules: [{}], or call it deny-all or allow-nothing if that is meant"
            )
            yield found("MESH0012", placed, ("spec",), message)
        for number, rule in enumerate(spec.rules or ()):
            if spec.action == "DENY" and _matches_all(rule):
                message = (
                    "an empty rule matches every request, so DENY refuses them all; give it a condition, or call the policy "
                    "deny-all if that is meant"
                )
                yield found("MESH0012", placed, ("spec", "rules", number), message)


def _matches_all(rule: Rule) -> bool:
    return not (rule.from_ or rule.to or rule.when)


def http_on_tcp(context: Context) -> Iterator[Finding]:
    """MESH0013: conditions on requests where there are none."""
    if context.pods is None or context.hosts is None:
        return
    for placed in context.of(AuthorizationPolicy):
        spec = placed.value.spec
        labels = spec.selector.match_labels if spec.selector is not None else None
        if spec.action not in (None, "ALLOW", "DENY") or spec.targets or labels is None:
            continue  # for a whole namespace or mesh, its HTTP workloads are meant
        fields = list(_http_fields(spec.rules or ()))
        if not fields:
            continue
        namespace = None if placed.namespace == context.root else placed.namespace
        spoken = _spoken(context, list(context.pods.select(labels, namespace)))
        for path, name, ports in fields:
            tcp = sorted(port for port, http in spoken.items() if not http and (not ports or str(port) in ports))
            if tcp and (ports or not any(spoken.values())):
                effect = "allows nothing there" if spec.action != "DENY" else "refuses everything there"
                numbers = ", ".join(map(str, tcp))
                message = f"{name} is of HTTP, and port {numbers} carries bytes: the rule {effect}; ask for ports only"
                yield found("MESH0013", placed, path, message)


def _http_fields(rules: Sequence[Rule]) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    names = {"hosts": "hosts", "methods": "methods", "paths": "paths"}
    names |= {"not_hosts": "notHosts", "not_methods": "notMethods", "not_paths": "notPaths"}
    for number, rule in enumerate(rules):
        for index, to in enumerate(rule.to or ()):
            for attribute, field in names.items():
                if getattr(to.operation, attribute):
                    path: Path = ("spec", "rules", number, "to", index, "operation", field)
                    yield path, field, to.operation.ports or ()
        for index, source in enumerate(rule.from_ or ()):
            for attribute, field in (
                ("request_principals", "requestPrincipals"),
                ("not_request_principals", "notRequestPrincipals"),
            ):
                if getattr(source.source, attribute):
                    ports = tuple(port for to in rule.to or () for port in to.operation.ports or ())
                    yield ("spec", "rules", number, "from", index, "source", field), field, ports


def _spoken(context: Context, pods: Sequence[Pod]) -> dict[int, bool]:
    """The ports of workloads that services lead to, and whether they carry HTTP (or may: the proxy finds out)."""
    spoken: dict[int, bool] = {}
    chosen = {id(pod) for pod in pods}
    for host in context.hosts or ():
        if host.selector is None or host.service is None:
            continue
        members = context.members(host) or ()
        member = next((pod for pod in members if id(pod) in chosen), None)
        if member is None:
            continue
        for port in host.service.value.ports:
            target: int | str | None = port.target or port.number
            if isinstance(target, str):
                target = member.template.port_named(target) if member.template is not None else None
            if target is not None:
                spoken[target] = spoken.get(target, False) or port.protocol in HTTP_PROTOCOLS or not port.protocol
    return spoken


CHECKS: Sequence[Check] = (workloads, namespaces, refuse_all, http_on_tcp)
