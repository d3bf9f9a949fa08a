"""Telemetry that no proxy could honour is refused, with the field and the mend."""

import pytest

from mesh_control import validate
from mesh_policy import load_documents

OBJECT = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t, namespace: default}\nspec: "


def told(spec: str) -> list[str]:
    (policy,) = load_documents(OBJECT + spec)
    return [str(finding) for finding in validate.unsupported(policy)]


@pytest.mark.parametrize(
    "spec",
    [
        "{accessLogging: [{disabled: true}]}",
        "{accessLogging: [{providers: [{name: otel}], filter: {expression: 'response.code >= 500 || connection.mtls'}}]}",
        "{tracing: [{randomSamplingPercentage: 10, customTags: {a: {literal: {value: b}}}}]}",
        "{tracing: [{disableContextPropagation: true}]}",
        "{metrics: [{reportingInterval: 5s}]}",
        "{metrics: [{overrides: [{tagOverrides: {host: {value: request.host}, a: {operation: REMOVE}}}]}]}",
        "{metrics: [{overrides: [{match: {customMetric: requests_total}, disabled: true}]}]}",
    ],
)
def test_what_is_honoured(spec: str) -> None:
    assert told(spec) == []


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        (
            "{accessLogging: [{filter: {expression: 'filter_state.x == 1'}}]}",
            "spec.accessLogging[0].filter.expression",
            "the attribute filter_state.x is not supported",
        ),
        (
            "{metrics: [{overrides: [{tagOverrides: {host: {value: node.id}}}]}]}",
            "spec.metrics[0].overrides[0].tagOverrides.host.value",
            "the attribute node.id is not supported",
        ),
        (
            "{metrics: [{overrides: [{match: {customMetric: mine}, disabled: true}]}]}",
            "spec.metrics[0].overrides[0].match.customMetric",
            "no proxy makes mine; write one of requests_total,",
        ),
    ],
)
def test_what_is_refused(spec: str, field: str, reason: str) -> None:
    (finding,) = told(spec)
    assert field in finding
    assert reason in finding
