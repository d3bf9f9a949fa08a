"""Authorization (Envoy's ``rbac.v3``): the rules of a configuration, compiled once, and the reasons of a decision.

:func:`compile_rules` is for the hot path: one call says who passes. :func:`explain` walks the same rules slowly and says why;
both compare by the same leaves (:mod:`mesh_proxy.authorization.conditions`). Everything here is pure.
"""

from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.engine import Engine, Outcome, compile_rules
from mesh_proxy.authorization.explain import Clause, Decision, Miss, PolicyName, Verdict, decide, explain, parse_name

__all__ = [
    "Access",
    "Clause",
    "Decision",
    "Engine",
    "Miss",
    "Outcome",
    "PolicyName",
    "Verdict",
    "compile_rules",
    "decide",
    "explain",
    "parse_name",
]
