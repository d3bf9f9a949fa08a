"""Rules in force: asked for every request or connection, and counted as Envoy counts."""

from mesh_api.config import NetworkRbac, Rbac, RbacFilter
from mesh_api.config.authorization import RBAC_OF_CONNECTIONS, RBAC_OF_REQUESTS, RbacAction
from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.denial import Denials, without_spaces
from mesh_proxy.authorization.engine import Engine, Outcome, compile_rules
from mesh_proxy.telemetry.stats import Counters


class Enforcer:
    """The rules of one filter, and its shadow rules, which are only counted and told to filters behind and to logs.

    ``stats`` counts under ``prefix`` (``rbac.``): ``allowed``, ``denied``, and with the shadow's prefix ``shadow_allowed``
    and ``shadow_denied``. Raises :class:`~mesh_proxy.routing.matchers.MatcherError` for rules that cannot be run.
    """

    __slots__ = (
        "_allowed", "_denials", "_denied", "_engine", "_namespace", "_shadow", "_shadow_allowed", "_shadow_denied",
        "_shadow_policy", "_shadow_result", "_stats",
    )  # fmt: skip

    def __init__(self, config: RbacFilter | NetworkRbac, stats: Counters, prefix: str = "") -> None:
        self._engine = _compile(config.rules)
        self._denials = _denials(config.rules)
        self._shadow = _compile(config.shadow_rules)
        self._stats = stats
        own = _joined(prefix, config.rules_stat_prefix if isinstance(config, RbacFilter) else "")
        shadow = _joined(prefix, config.shadow_rules_stat_prefix)
        self._namespace = RBAC_OF_REQUESTS if isinstance(config, RbacFilter) else RBAC_OF_CONNECTIONS
        self._shadow_policy = f"{config.shadow_rules_stat_prefix}shadow_effective_policy_id"
        self._shadow_result = f"{config.shadow_rules_stat_prefix}shadow_engine_result"
        self._allowed, self._denied = f"{own}allowed", f"{own}denied"
        self._shadow_allowed, self._shadow_denied = f"{shadow}shadow_allowed", f"{shadow}shadow_denied"

    def refusal(self, access: Access) -> str:
        """Why the access is refused, as the access log says it; empty: it is not. Where no policy allows it, the first
        conditions that failed stand behind what Envoy says."""
        if self._shadow is not None:
            self._tell(self._shadow(access), access)
        if self._engine is None:
            return ""
        outcome = self._engine(access)
        if outcome.allowed:
            self._stats.add(self._allowed)
            return ""
        self._stats.add(self._denied)
        if outcome.policy or self._denials is None:
            return f"rbac_access_denied_matched_policy[{without_spaces(outcome.policy)}]"
        why = self._denials.failed(access)
        return f"rbac_access_denied_matched_policy[none]{f'{{{why}}}' if why else ''}"

    def _tell(self, outcome: Outcome, access: Access) -> None:
        """What the shadow rules would have done (Envoy's dynamic metadata)."""
        self._stats.add(self._shadow_allowed if outcome.allowed else self._shadow_denied)
        before = access.metadata.get(self._namespace)
        told: dict[str, object] = dict(before) if isinstance(before, dict) else {}
        if outcome.policy:
            told[self._shadow_policy] = outcome.policy
        told[self._shadow_result] = "allowed" if outcome.allowed else "denied"
        access.metadata = {**access.metadata, self._namespace: told}


def _joined(prefix: str, more: str) -> str:
    """As Envoy joins prefixes, each of which ends in a dot."""
    return prefix + more + ("." if more and not more.endswith(".") else "")


def _compile(rules: Rbac | None) -> Engine | None:
    return None if rules is None else compile_rules(rules)


def _denials(rules: Rbac | None) -> Denials | None:
    """Of rules by which an access can be denied because none of them holds."""
    return None if rules is None or rules.action is not RbacAction.ALLOW else Denials(rules)
