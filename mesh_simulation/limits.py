"""What a mesh has that no simulation takes into account yet: named, rather than passed over."""

from collections.abc import Iterator

from mesh_control import validate_gateway_api, validate_networking
from mesh_policy import AuthorizationPolicy, Gateway, Policy, RequestAuthentication, Sidecar
from mesh_simulation.mesh import Mesh
from mesh_simulation.parties import Party

NOT_COMPILED: dict[str, str] = {}
"""Title of a kind that decides about requests, and why it does not here."""

UNKNOWN_ATTRIBUTES = ("connection.sni", "experimental.")
"""Attributes of conditions that no request here has; identities and tokens are simulated."""

_WRITTEN = ("output_claim_to_headers", "output_payload_to_header")


def not_simulated(mesh: Mesh, party: Party) -> tuple[str, ...]:
    """What may concern the requests of a party and is no part of the answers to them."""
    key = ("not simulated", id(party))
    if key not in mesh.memo:
        mesh.memo[key] = party, tuple(_found(mesh, party))  # the party keeps its id from being used again
    found: tuple[str, ...] = mesh.memo[key][1]
    return found


def _found(mesh: Mesh, party: Party) -> list[str]:
    found: list[str] = []
    if party.gateway and party.workload not in mesh.world.workloads:
        found.append(f"no workload has the labels of Gateway {party.gateway}: its identity and service are not known")
    found += [text for policy, text in _left_out(mesh) if policy is None or _concerns(policy, party)]
    return found


def _left_out(mesh: Mesh) -> list[tuple[Policy | None, str]]:
    """What is left out of policies, with the policy where it does not concern everybody."""
    if "left out" not in mesh.memo:
        found: list[tuple[Policy | None, str]] = []
        for policy in mesh.world.policies:
            name = f"{policy.kind} {policy.metadata.namespace}/{policy.metadata.name}"
            bound = policy if isinstance(policy, Gateway) else None
            found += ((bound, f"{name} {field}: {why}") for field, why in _parts(policy))
            if (reason := NOT_COMPILED.get(policy.title())) is not None:
                found.append((policy, f"{name} {reason}"))
            if isinstance(policy, Sidecar) and (policy.spec.ingress or policy.spec.inbound_connection_pool):
                found.append((policy, f"{name} spec.ingress: how the workload is reached is not simulated"))
        mesh.memo["left out"] = found
    made: list[tuple[Policy | None, str]] = mesh.memo["left out"]
    return made


def _concerns(policy: Policy, party: Party) -> bool:
    """A Gateway is for its proxies, a Sidecar for workloads of its namespace, those that it selects; others concern
    everybody."""
    if isinstance(policy, Gateway):
        return bool(party.gateway)
    if policy.kind != "Sidecar":
        return True
    if policy.metadata.namespace not in (party.namespace, "istio-system") or party.proxy is None:
        return False
    selector = getattr(policy.spec, "workload_selector", None)
    return selector is None or (selector.labels or {}).items() <= party.labels.items()


def _parts(policy: Policy) -> Iterator[tuple[str, str]]:
    """Fields that the control plane refuses, and why, except those that do not matter here."""
    if isinstance(policy, AuthorizationPolicy):
        if policy.spec.action == "CUSTOM":
            asked = policy.spec.provider.name if policy.spec.provider is not None else ""
            yield "spec.action", f"CUSTOM asks the provider {asked}, and here nobody is asked"
        for place, rule in enumerate(policy.spec.rules or ()):
            for index, condition in enumerate(rule.when or ()):
                if condition.key.startswith(UNKNOWN_ATTRIBUTES):
                    yield f"spec.rules[{place}].when[{index}].key", f"{condition.key} is of no request here"
        return
    if isinstance(policy, RequestAuthentication):
        for place, tokens in enumerate(policy.spec.jwt_rules or ()):
            for name in _WRITTEN:
                if getattr(tokens, name):
                    yield f"spec.jwtRules[{place}]", f"{name} is not written into the request that is shown"
        return
    for field, why in validate_gateway_api.unenforceable(policy):
        if not field.endswith(".namespaces.from"):  # files may tell the labels of namespaces
            yield field, why
    yield from validate_networking.unenforceable(policy)
