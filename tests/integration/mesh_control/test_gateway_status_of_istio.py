"""What objects of the Gateway API are told, held against what Istio's own tests expect of istiod, case by case."""

import re
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_control.conditions import Condition
from mesh_control.gateway_api import Surroundings
from mesh_control.gateway_api.conversion import Objects, objects
from mesh_control.gateway_api.converted import ISTIO
from mesh_control.gateway_api.gateway_status import Front, state
from mesh_control.gateway_api.route_status import at_parents
from mesh_policy import Policy, PolicyError
from mesh_policy.gateway_api.attachment import Reference
from mesh_policy.load import policy_of
from mesh_policy.positions import Document
from tests.support import go_programs

pytestmark = pytest.mark.integration
MODULE = "istio.io/istio"
CASES = (
    "delegated",
    "eastwest-tlsoption",
    "empty-backend-refs",
    "frontend-tls-invalid",
    "grpc",
    "http-grpc-same-host",
    "http",
    "invalid",
    "isolation",
    "mcs",
    "mesh",
    "mismatch",
    "multi-gateway",
    "redirect-only",
    "reference-grant-multiple-to",
    "reference-policy-service",
    "reference-policy-tcp",
    "reference-policy-tls",
    "route-binding",
    "route-precedence",
    "serviceentry",
    "status",
    "tcp",
    "tls-terminate",
    "tls",
    "valid-invalid-parent-ref",
    "weighted",
    "zero",
)

OTHERWISE = {
    "multi-route-infpool-1": "names an InferencePool, which this mesh does not know",
    "multi-route-infpool-2": "names an InferencePool, which this mesh does not know",
    "multiple-inferencepool-backend-refs": "names an InferencePool, which this mesh does not know",
    "protocol-lower-case": "istiod calls a listener Programmed that it does not open",
    "udp-protocol": "istiod calls a listener Programmed that it does not open",
    "unknown-protocol": "istiod calls a listener Programmed that it does not open",
    "invalid-gateway-address": "istiod says nothing of the listeners",
}
"""Objects of which we say something else, and why."""


@cache
def folder() -> Path | None:
    found = go_programs.module(MODULE)
    return None if found is None else found / "pilot" / "pkg" / "config" / "kube" / "gateway"


def around(place: Path, namespaces: Mapping[str, Mapping[str, str]]) -> Surroundings:
    """The services and Secrets that Istio's test has in its cluster."""
    text = (place / "conversion_test.go").read_text()
    hosts = re.findall(r'Hostname: "([^"]+)"', text)
    services = [host.split(".")[:2] for host in hosts if host.endswith(".svc.domain.suffix")]
    parts = re.split(r"&corev1\.(?=Secret|ConfigMap)", text)
    found = [re.match(r'(\w+)\{\s+ObjectMeta[^}]*?Name:\s+"([^"]+)",\s+Namespace: "([^"]+)"', part) for part in parts]
    kept = [(match.groups(), part) for match, part in zip(found, parts, strict=True) if match]
    return Surroundings(
        namespaces,
        frozenset(f"{namespace}/{name}" for name, namespace in services),
        frozenset(host.replace("domain.suffix", "cluster.local") for host in hosts),
        frozenset(f"{ns}/{n}" for (kind, n, ns), part in kept if "[]byte(rsaKeyPEM)" in part and kind == "Secret"),
        frozenset(
            Reference("", kind, ns, n) for (kind, n, ns), part in kept if re.search(r'"ca.crt":\s+\S*rsaC', part)
        ),
        frozenset({ISTIO}),
    )


def read(text: str) -> tuple[list[Policy], dict[str, dict[str, str]]]:
    policies: list[Policy] = []
    namespaces: dict[str, dict[str, str]] = {}
    for value in yaml.safe_load_all(text):
        metadata = (value or {}).get("metadata") or {}
        name = metadata["name"] if (value or {}).get("kind") == "Namespace" else metadata.get("namespace")
        if name:  # the labels that Istio's test gives them
            namespaces[name] = {"istio.io/test-name-part": name.split("-")[0]}
        with suppress(PolicyError):  # names that no API server takes
            found = policy_of(Document.of(value), "case") if value else None
            policies += [found.policy] if found is not None else []
    return policies, namespaces


def said(conditions: Any) -> dict[str, tuple[str, str]]:
    """Of those that both of us have."""
    kinds = ("Accepted", "ResolvedRefs", "Conflicted", "Programmed")
    return {c["type"]: (c["status"], c["reason"]) for c in conditions or () if c["type"] in kinds}


def told(conditions: tuple[Condition, ...]) -> dict[str, tuple[str, str]]:
    return {c.type: ("True" if c.holds else "False", c.reason) for c in conditions}


def ours(policy: Policy, known: Objects) -> Any:
    if policy.KIND == "Gateway":
        if policy not in known.gateways:
            return None
        host = "istio-ingressgateway.istio-system.svc.cluster.local"
        found = state(policy, known, {host: Front((), ("1.2.3.4",), False, frozenset({80, 443, 34000, 34001}))})  # type: ignore[arg-type]
        listeners = {
            item.name: (item.attached, [kind for _, kind in item.kinds], told(item.conditions))
            for item in found.listeners
        }
        return {"Accepted": told(found.conditions)["Accepted"], "listeners": listeners}
    parents = at_parents(policy, known.parents, known.grants)  # type: ignore[arg-type]
    return {(item.ref.name, item.ref.section_name, item.ref.port): told(item.conditions) for item in parents}


def theirs(status: Mapping[str, Any], kind: str) -> Any:
    if kind == "Gateway":
        listeners = {
            item["name"]: (
                item["attachedRoutes"],
                [k["kind"] for k in item["supportedKinds"]],
                said(item["conditions"]),
            )
            for item in status.get("listeners") or ()
        }
        return {"Accepted": said(status["conditions"])["Accepted"], "listeners": listeners}
    refs = [(item["parentRef"], item) for item in status["parents"] if item["controllerName"] == ISTIO]
    return {(r["name"], r.get("sectionName"), r.get("port")): said(item["conditions"]) for r, item in refs}


@pytest.mark.parametrize("name", CASES)
def test_istiod_says_the_same(name: str) -> None:
    place = folder()
    if place is None:
        pytest.skip(f"the Go module {MODULE} is not here")
    case = place / "testdata" / f"{name}.yaml"
    policies, namespaces = read(case.read_text())
    known = objects(policies, around(place, namespaces))
    by_key = {(p.KIND, p.metadata.namespace, p.metadata.name): p for p in policies}
    differences = []
    for value in yaml.safe_load_all(case.with_suffix(".status.yaml.golden").read_text()):
        metadata = value["metadata"] if value else {}
        policy = by_key.get((value["kind"], metadata.get("namespace", "default"), metadata["name"])) if value else None
        if policy is None or policy.KIND not in ("Gateway", "HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"):
            continue
        if metadata["name"] in OTHERWISE or (name, metadata["name"]) == ("invalid", "gateway"):
            continue  # to the latter routes attach whose names no API server takes
        mine, wanted = ours(policy, known), theirs(value["status"], policy.KIND)
        if mine != wanted:
            differences.append((policy.KIND, metadata["name"], mine, wanted))
    assert not differences
