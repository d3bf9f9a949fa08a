"""What the authorization of a proxy says, with the policy, the rule, and the first clause that failed."""

from collections.abc import Sequence

from mesh_api.config import NetworkRbac, RbacFilter
from mesh_proxy.authorization import Access
from mesh_proxy.authorization.engine import Engine, compile_rules
from mesh_proxy.authorization.explain import Decision, Miss, decide, parse_name
from mesh_simulation.decision import Verdict
from mesh_simulation.mesh import Mesh

KIND = "AuthorizationPolicy"
_SHOWN = 3
"""Policies that did not match, of which the clause is told."""


def verdict(mesh: Mesh, filters: Sequence[RbacFilter | NetworkRbac], access: Access) -> Verdict | None:
    """The verdict of the filters of one chain; ``None`` where no policy rules the workload.

    The engine that a proxy runs decides; why something is denied is asked afterwards, which takes longer.
    """
    enforced = [item for item in filters if item.rules is not None]
    if not enforced:
        return None
    policy = ""
    for item in enforced:
        outcome = _engine(mesh, item)(access)
        if not outcome.allowed:
            last = decide((item,), access).decisions[-1]
            return _matched(mesh, last) if last.policy else _none_matched(mesh, last.misses)
        policy = outcome.policy or policy
    return _allowed(mesh, policy)


def _engine(mesh: Mesh, item: RbacFilter | NetworkRbac) -> Engine:
    key = ("engine", id(item))
    found = mesh.memo.get(key)
    if found is None:
        assert item.rules is not None  # noqa: S101 (the caller looked)
        found = mesh.memo[key] = item, compile_rules(item.rules)  # the item keeps its id from being used again
    engine: Engine = found[1]
    return engine


def _allowed(mesh: Mesh, policy: str) -> Verdict:
    key = ("allowed", policy)
    found: Verdict | None = mesh.memo.get(key)
    if found is None:
        name = parse_name(policy)
        if name is None:
            found = Verdict(True, policy, reason="" if policy else "no policy that denies holds")
        else:
            place = mesh.place((KIND, name.namespace, name.name), ("spec", "rules", name.rule))
            found = Verdict(True, f"{name.namespace}/{name.name}", name.rule, "", place)
        mesh.memo[key] = found
    return found


def _matched(mesh: Mesh, decision: Decision) -> Verdict:
    name = parse_name(decision.policy)
    clauses = "; ".join(f"{clause.subject} is {clause.seen}" for clause in decision.clauses)
    reason = clauses or "it matches everything"
    if name is None:
        return Verdict(decision.allowed, decision.policy, None, reason)
    place = mesh.place((KIND, name.namespace, name.name), ("spec", "rules", name.rule))
    return Verdict(decision.allowed, f"{name.namespace}/{name.name}", name.rule, reason, place)


def _none_matched(mesh: Mesh, misses: Sequence[Miss]) -> Verdict:
    """Every policy that allows refuses what none of them allows."""
    if not misses:
        return Verdict(False, reason="ALLOW policies without a rule that could hold")
    names = [found for miss in misses if (found := parse_name(miss.policy)) is not None]
    policies = list(dict.fromkeys(f"{name.namespace}/{name.name}" for name in names))
    told = [_missed(miss) for miss in misses[:_SHOWN]]
    more = f"; and {len(misses) - _SHOWN} rules more" if len(misses) > _SHOWN else ""
    first = names[0] if names else None
    place = "" if first is None else mesh.place((KIND, first.namespace, first.name), ("spec", "rules", first.rule))
    return Verdict(False, ", ".join(policies), None, f"no rule allows it: {'; '.join(told)}{more}", place)


def _missed(miss: Miss) -> str:
    name = parse_name(miss.policy)
    rule = miss.policy if name is None else f"{name.name} rule {name.rule}"
    if not miss.clauses:
        return f"{rule} holds for nothing"
    return f"{rule}: {' or '.join(map(str, miss.clauses))}"
