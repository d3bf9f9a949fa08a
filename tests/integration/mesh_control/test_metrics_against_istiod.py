"""What Telemetries change of Istio's metrics: compiled by a real istiod for its own filter, and by us for our proxy."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from mesh_api.config import HttpConnectionManager, Listener, MetricOverride, ServiceMetrics, TrafficDirection
from mesh_api.node import Node
from mesh_control.compiler import compile_proxy
from mesh_control.compiler.service_metrics import NAMES
from mesh_control.proxies import proxy_of
from mesh_policy.mesh_config import read_mesh_config
from mesh_simulation import Mesh
from tests.support.istio_compiler import Asker, Istiod
from tests.support.istiod_cases import USUAL

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the program's first build

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: default}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}, {name: tcp, port: 9090}]}
---
apiVersion: v1
kind: Pod
metadata: {name: reviews-v1, namespace: default, labels: {app: reviews, version: v1}}
spec: {serviceAccountName: default, containers: [{name: c}]}
status: {phase: Running, podIP: 127.0.0.11, conditions: [{type: Ready, status: "True"}]}
"""
MESH = """
accessLogFile: /dev/stdout
enableTracing: false
defaultProviders: {metrics: [prometheus]}
extensionProviders: [{name: mine, prometheus: {}}]
"""
VALUES = ("request.host", "'text'", "string(response.code)", "destination.port")
LABELS = ("request_host", "destination_port", "source_app", "response_code")
MODES = ("CLIENT", "SERVER", "CLIENT_AND_SERVER")
Effect = tuple[bool, dict[str, str | None]]
"""Whether a metric is dropped; and labels that it has, or loses."""


def telemetry(rng: random.Random, name: str, namespace: str, selector: Mapping[str, str] | None = None) -> str:
    spec: dict[str, Any] = {"metrics": [entry(rng) for _ in range(rng.randint(1, 3))]}
    if selector is not None:
        spec["selector"] = {"matchLabels": selector}
    metadata = {"name": name, "namespace": namespace, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return yaml.safe_dump(
        {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": metadata, "spec": spec}
    )


def entry(rng: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {"overrides": [override(rng) for _ in range(rng.randint(0, 3))]}
    if rng.random() < 0.5:
        made["providers"] = [{"name": rng.choice(("prometheus", "prometheus", "prometheus", "stackdriver"))}]
    if rng.random() < 0.3:
        made["reportingInterval"] = f"{rng.randint(1, 30)}s"
    return made


def override(rng: random.Random) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if rng.random() < 0.8:
        match: dict[str, Any] = {"metric": rng.choice(("ALL_METRICS", *NAMES))}
        if rng.random() < 0.2:
            match = {"customMetric": rng.choice(tuple(NAMES.values()))}
        if rng.random() < 0.5:
            match["mode"] = rng.choice(MODES)
        made["match"] = match
    if rng.random() < 0.4:
        made["disabled"] = rng.random() < 0.6
    tags = rng.sample(LABELS, rng.randint(0, 2))
    if tags:
        made["tagOverrides"] = {
            tag: {"operation": "REMOVE"} if rng.random() < 0.4 else {"value": rng.choice(VALUES)} for tag in tags
        }
    return made


def theirs(answer: Mapping[str, Any], inbound: bool) -> ServiceMetrics | None:
    direction = "INBOUND" if inbound else "OUTBOUND"
    text = json.dumps([found for found in answer["lds"] if found.get("traffic_direction") == direction])
    found = {json.dumps(config, sort_keys=True) for config in configs(json.loads(text))}
    assert len(found) <= 1
    return None if not found else read(json.loads(found.pop()))


def configs(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if str(value.get("@type", "")).endswith("/stats.PluginConfig"):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from configs(item)


def read(value: Mapping[str, Any]) -> ServiceMetrics:
    interval = value.get("tcp_reporting_duration")
    return ServiceMetrics(
        tuple(
            MetricOverride(
                metric.get("name", ""),
                tuple(sorted(metric.get("dimensions", {}).items())),
                tuple(metric.get("tags_to_remove", ())),
                metric.get("drop", False),
            )
            for metric in value.get("metrics", ())
        ),
        not value.get("disable_host_header_fallback", False),
        None if interval is None else float(interval.removesuffix("s")),
    )


def ours(world: Any, asker: Asker, inbound: bool) -> ServiceMetrics | None:
    proxy = replace(proxy_of(Node(asker.id, metadata=asker.metadata)), own=True)
    direction = TrafficDirection.INBOUND if inbound else TrafficDirection.OUTBOUND
    listeners = [found for found in compile_proxy(world, proxy).listeners if found.traffic_direction is direction]
    found = {metrics for listener in listeners for metrics in of_listener(listener)}
    assert len(found) <= 1
    return next(iter(found), None)


def of_listener(listener: Listener) -> Iterator[ServiceMetrics]:
    for chain in listener.filter_chains:
        terminal = chain.filter
        filters = terminal.http_filters if isinstance(terminal, HttpConnectionManager) else chain.guards
        yield from (found for found in filters if isinstance(found, ServiceMetrics))


def effects(config: ServiceMetrics) -> dict[str, Effect]:
    made: dict[str, Effect] = {}
    for name in NAMES.values():
        mine = [metric for metric in config.metrics if metric.name in ("", name)]
        labels: dict[str, str | None] = {}
        for metric in mine:
            labels |= dict.fromkeys(metric.tags_to_remove) | dict(metric.dimensions)
        made[name] = any(metric.drop for metric in mine), labels
    return made


@pytest.mark.parametrize("seed", range(60))
def test_the_same_is_different(istiod: Istiod, seed: int) -> None:
    rng = random.Random(seed)
    objects = [SERVICE]
    if rng.random() < 0.7:
        objects.append(telemetry(rng, "mesh", "istio-system"))
    if rng.random() < 0.7:
        objects.append(telemetry(rng, "all", "default"))
    if rng.random() < 0.5:
        objects.append(telemetry(rng, "reviews", "default", {"app": "reviews"}))
    text, asker = "---\n".join(objects), USUAL["server"]
    (answer,) = istiod.ask(text, MESH, [asker])
    world = Mesh.read([("case", text)], mesh_config=read_mesh_config(MESH), as_given=True).world
    for inbound in (True, False):
        real, made = theirs(answer, inbound), ours(world, asker, inbound)
        if real is None:
            assert made is not None
            assert all(dropped for dropped, _ in effects(made).values())
            continue
        made = made or ServiceMetrics()
        assert (made.host_fallback, made.tcp_interval) == (real.host_fallback, real.tcp_interval)
        for name, expected in effects(real).items():
            assert expected[0] or effects(made)[name] == expected
