"""Rules in force: asked for every request or connection, and counted as Envoy counts."""

from typing import Final

from mesh_api.config import NetworkRbac, Rbac, RbacFilter
from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.engine import Engine, compile_rules
from mesh_proxy.telemetry.stats import Counters

_SPACES: Final = str.maketrans(dict.fromkeys(" \t\n\v\f\r", "_"))


class Enforcer:
    """The rules of one filter, and its shadow rules, which are only counted.

    ``stats`` counts under ``prefix`` (``rbac.``): ``allowed``, ``denied``, and with the shadow's prefix ``shadow_allowed``
    and ``shadow_denied``. Raises :class:`~mesh_proxy.routing.matchers.MatcherError` for rules that cannot be run.
    """

    __slots__ = ("_allowed", "_denied", "_engine", "_shadow", "_shadow_allowed", "_shadow_denied", "_stats")

    def __init__(self, config: RbacFilter | NetworkRbac, stats: Counters, prefix: str = "") -> None:
        self._engine = _compile(config.rules)
        self._shadow = _compile(config.shadow_rules)
        self._stats = stats
        own = _joined(prefix, config.rules_stat_prefix if isinstance(config, RbacFilter) else "")
        shadow = _joined(prefix, config.shadow_rules_stat_prefix)
        self._allowed, self._denied = f"{own}allowed", f"{own}denied"
        self._shadow_allowed, self._shadow_denied = f"{shadow}shadow_allowed", f"{shadow}shadow_denied"

    def refusal(self, access: Access) -> str:
        """Why the access is refused, as the access log says it; empty: it is not."""
        if self._shadow is not None:
            allowed = self._shadow(access).allowed
            self._stats.add(self._shadow_allowed if allowed else self._shadow_denied)
        if self._engine is None:
            return ""
        outcome = self._engine(access)
        if outcome.allowed:
            self._stats.add(self._allowed)
            return ""
        self._stats.add(self._denied)
        return f"rbac_access_denied_matched_policy[{outcome.policy.translate(_SPACES) or 'none'}]"


def _joined(prefix: str, more: str) -> str:
    """As Envoy joins prefixes, each of which ends in a dot."""
    return prefix + more + ("." if more and not more.endswith(".") else "")


def _compile(rules: Rbac | None) -> Engine | None:
    return None if rules is None else compile_rules(rules)
