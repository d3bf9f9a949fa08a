"""What of Telemetry is valid to Istio's webhook and cannot be honoured here: refused, not passed over."""

from collections.abc import Iterator

from mesh_api.expressions import ExpressionError, parse
from mesh_control.compiler.service_metrics import NAMES
from mesh_control.validate_networking import Refusal
from mesh_policy.telemetry.telemetry import Metrics, Telemetry


def unenforceable(policy: Telemetry) -> Iterator[Refusal]:
    """The fields that this mesh does not honour."""
    for place, logging in enumerate(policy.spec.access_logging or ()):
        if logging.filter is not None:
            yield from _expression(f"spec.accessLogging[{place}].filter.expression", logging.filter.expression)
    for place, metrics in enumerate(policy.spec.metrics or ()):
        yield from _metrics(f"spec.metrics[{place}]", metrics)


def _expression(path: str, text: str) -> Iterator[Refusal]:
    try:
        parse(text)
    except ExpressionError as error:
        yield path, f"{error}; docs/proxy.md says what can be written"


def _metrics(path: str, metrics: Metrics) -> Iterator[Refusal]:
    for place, override in enumerate(metrics.overrides or ()):
        at = f"{path}.overrides[{place}]"
        custom = override.match.custom_metric if override.match is not None else None
        if custom is not None and custom not in NAMES.values():
            yield f"{at}.match.customMetric", f"no proxy makes {custom}; write one of {', '.join(NAMES.values())}"
        for label, tag in (override.tag_overrides or {}).items():
            if tag.operation != "REMOVE":
                yield from _expression(f"{at}.tagOverrides.{label}.value", tag.value or "")
