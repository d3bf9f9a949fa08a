"""The effective mode of mutual TLS: who overrules whom."""

import pytest

from mesh_control.compiler.peer_authentication import TlsMode, effective
from mesh_control.world import World
from mesh_policy import load_documents

Policies = tuple[tuple[str, str], ...]


def world(policies: Policies) -> World:
    """Policies by namespace and spec, each a day older than the one before it."""
    texts = [
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
        f"metadata: {{name: p{place}, namespace: {namespace}, creationTimestamp: '2026-01-{28 - place}T00:00:00Z'}}\n"
        f"spec: {spec}\n"
        for place, (namespace, spec) in enumerate(policies)
    ]
    return World.of(policies=load_documents("---\n".join(texts)))


STRICT, DISABLE, UNSET = "{mtls: {mode: STRICT}}", "{mtls: {mode: DISABLE}}", "{mtls: {mode: UNSET}}"
PERMISSIVE = "{mtls: {mode: PERMISSIVE}}"
SELECTED = "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}}"
SELECTED_UNSET = "{selector: {matchLabels: {app: a}}, mtls: {mode: UNSET}}"
OTHER = "{selector: {matchLabels: {app: b}}, mtls: {mode: STRICT}}"
BY_PORT = "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {'80': {mode: DISABLE}, '81': {}}}"
PORT_ALONE = "{selector: {matchLabels: {app: a}}, portLevelMtls: {'80': {mode: DISABLE}, '81': {mode: UNSET}}}"

ROWS: list[tuple[Policies, str, dict[int, str]]] = [
    ((), "PERMISSIVE", {}),
    ((("istio-system", STRICT),), "STRICT", {}),
    ((("istio-system", UNSET),), "PERMISSIVE", {}),
    ((("istio-system", "{}"),), "PERMISSIVE", {}),
    ((("istio-system", SELECTED),), "PERMISSIVE", {}),
    ((("ns", STRICT),), "STRICT", {}),
    ((("other", STRICT),), "PERMISSIVE", {}),
    ((("istio-system", STRICT), ("ns", DISABLE)), "DISABLE", {}),
    ((("istio-system", STRICT), ("ns", UNSET)), "STRICT", {}),
    ((("ns", DISABLE), ("ns", SELECTED)), "STRICT", {}),
    ((("ns", DISABLE), ("ns", OTHER)), "DISABLE", {}),
    ((("ns", DISABLE), ("ns", SELECTED_UNSET)), "DISABLE", {}),
    ((("istio-system", STRICT), ("ns", "{}"), ("ns", SELECTED_UNSET)), "STRICT", {}),
    # The older of two counts alone: also where it says nothing.
    ((("ns", DISABLE), ("ns", STRICT)), "STRICT", {}),
    ((("ns", STRICT), ("ns", UNSET)), "PERMISSIVE", {}),
    ((("ns", SELECTED), ("ns", PORT_ALONE)), "PERMISSIVE", {80: "DISABLE", 81: "PERMISSIVE"}),
    ((("ns", PERMISSIVE), ("ns", BY_PORT)), "STRICT", {80: "DISABLE", 81: "STRICT"}),
    ((("istio-system", STRICT), ("ns", PORT_ALONE)), "STRICT", {80: "DISABLE", 81: "STRICT"}),
]


@pytest.mark.parametrize(("policies", "mode", "ports"), ROWS)
def test_who_overrules_whom(policies: Policies, mode: str, ports: dict[int, str]) -> None:
    found = effective(world(policies), "ns", {"app": "a", "version": "v1"})
    assert (found.mode.value, {port: of.value for port, of in found.ports.items()}) == (mode, ports)
    assert found.of_port(80) is TlsMode(ports.get(80, mode))
    assert found.of_port(9) is TlsMode(mode)


def test_a_workload_of_the_root_namespace_is_ruled_by_the_mesh() -> None:
    policies = (("istio-system", STRICT), ("istio-system", BY_PORT))
    found = effective(world(policies), "istio-system", {"app": "a"})
    assert (found.mode, found.ports) == (TlsMode.STRICT, {})


def test_it_says_who_said_so() -> None:
    found = effective(world((("istio-system", STRICT), ("ns", BY_PORT))), "ns", {"app": "a"})
    assert found.policy is not None
    assert found.port_policy is not None
    assert (found.policy.metadata.name, found.port_policy.metadata.name) == ("p1", "p1")
