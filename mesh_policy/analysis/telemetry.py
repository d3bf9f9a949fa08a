"""Telemetries: several for the same workloads, for nobody, without providers."""

from collections.abc import Iterator, Sequence

from mesh_policy.analysis.context import Check, Context
from mesh_policy.analysis.finding import Finding, Placed, found, rivals
from mesh_policy.analysis.pods import labels_of, labels_text
from mesh_policy.telemetry.telemetry import Telemetry

Tele = Placed[Telemetry]


def selected(context: Context) -> Iterator[Finding]:
    """IST0101 and IST0159: the workloads of Telemetries with a selector."""
    if context.pods is None or not context.knows_gateways:
        return
    by_pod: dict[tuple[str, str], list[Tele]] = {}
    for placed in context.of(Telemetry):
        labels = labels_of(placed.value.spec.selector)
        if not labels:
            continue
        pods = list(context.pods.select(labels, placed.namespace))
        if not pods:
            message = f"no workload of namespace {placed.namespace} carries {labels_text(labels)}, so it is for nobody"
            yield found("IST0101", placed, ("spec", "selector", "matchLabels"), message)
        for pod in pods:
            by_pod.setdefault(pod.key, []).append(placed)
    for (namespace, name), one, others in rivals(by_pod):
        message = f"Telemetry {others} selects workload {namespace}/{name} as well; only one counts: merge them"
        yield found("IST0159", one, ("spec", "selector"), message)


def namespace_wide(context: Context) -> Iterator[Finding]:
    """IST0160: several for a whole namespace."""
    wide: dict[str, list[Tele]] = {}
    for placed in context.of(Telemetry):
        if placed.value.spec.selector is None:
            wide.setdefault(placed.namespace, []).append(placed)
    for namespace, one, others in rivals(wide):
        message = f"Telemetry {others} is for all of namespace {namespace} as well; only one counts: merge them"
        yield found("IST0160", one, ("spec",), message)


def providers(context: Context) -> Iterator[Finding]:
    """IST0157 and IST0002: where logs and traces go."""
    mesh = context.known.mesh
    logged = mesh is not None and bool(mesh.default_providers.access_logging)
    known = {} if mesh is None else mesh.providers
    for placed in context.of(Telemetry):
        for place, logging in enumerate(placed.value.spec.access_logging or ()):
            if not (logged or logging.disabled or logging.providers):
                message = "there is no provider here and no default one, so it is ignored; name one, such as envoy"
                yield found("IST0157", placed, ("spec", "accessLogging", place), message)
        for place, tracing in enumerate(placed.value.spec.tracing or ()):
            for index, provider in enumerate(tracing.providers or ()):
                if provider.name in known and known[provider.name].kind == "lightstep":
                    message = f"provider {provider.name} is of Lightstep, which is deprecated; use OpenTelemetry's"
                    yield found("IST0002", placed, ("spec", "tracing", place, "providers", index), message)


CHECKS: Sequence[Check] = (selected, namespace_wide, providers)
