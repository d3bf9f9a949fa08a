"""DestinationRule: the settings that are in force for one port of a service and one of its subsets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mesh_policy import DestinationRule
from mesh_policy.mesh_config import MeshConfig
from mesh_policy.networking.destination_rule import (
    ClientTls,
    ConnectionPool,
    LoadBalancer,
    OutlierDetection,
    PortTrafficPolicy,
    ProxyProtocol,
    RetryBudget,
    Subset,
    TrafficPolicy,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What counts after inheritance."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    retry_budget: RetryBudget | None = None
    proxy_protocol: ProxyProtocol | None = None


NONE = Settings()


def subsets(rules: Sequence[DestinationRule]) -> list[Subset]:
    """The subsets of rules for one host: of several with one name the oldest rule's counts."""
    found: dict[str, Subset] = {}
    for rule in rules:
        for subset in rule.spec.subsets or ():
            found.setdefault(subset.name, subset)
    return [found[name] for name in sorted(found)]


def general(rules: Sequence[DestinationRule]) -> TrafficPolicy | None:
    """The policy for the whole host: that of the first rule that has one."""
    return next((rule.spec.traffic_policy for rule in rules if rule.spec.traffic_policy is not None), None)


def settings(
    rules: Sequence[DestinationRule], port: int, subset: Subset | None = None, mesh: MeshConfig | None = None
) -> Settings:
    """The settings for a port: those of the first rule that has any, overridden field by field by the subset's own,
    or as a whole by those of the subset for that very port (Istio). What no rule sets is as ``mesh`` says, if it is given."""
    base = general(rules)
    found = _of_port(base, port)
    if mesh is not None:
        found = with_defaults(found, mesh)
    if subset is None or subset.traffic_policy is None:
        return found
    if _port_level(subset.traffic_policy, port) is not None:
        own = _of_port(subset.traffic_policy, port)
        return replace(own, retry_budget=found.retry_budget, proxy_protocol=found.proxy_protocol)
    own = _of_port(subset.traffic_policy, port)
    return Settings(
        own.load_balancer or found.load_balancer,
        own.connection_pool or found.connection_pool,
        own.outlier_detection or found.outlier_detection,
        own.tls or found.tls,
        own.retry_budget or found.retry_budget,
        own.proxy_protocol or found.proxy_protocol,
    )


def tls_mode(rules: Sequence[DestinationRule], port: int, subset: Subset | None = None) -> str | None:
    """The mode of TLS that endpoints are told by; unlike :func:`settings`, what a port does not say is inherited (Istio)."""
    base = general(rules)
    own = subset.traffic_policy if subset is not None else None
    return next((mode for policy in (own, base) if (mode := _tls_mode(policy, port)) is not None), None)


def _tls_mode(policy: TrafficPolicy | None, port: int) -> str | None:
    if policy is None:
        return None
    level = _port_level(policy, port)
    said = (level.tls if level is not None else None) or policy.tls
    return None if said is None else said.mode or "DISABLE"


def with_defaults(found: Settings, mesh: MeshConfig) -> Settings:
    """The settings with the blocks of the mesh's ``defaultTrafficPolicy`` that no rule sets."""
    default = mesh.default_traffic_policy
    if default is None:
        return found
    return replace(
        found,
        connection_pool=found.connection_pool or default.connection_pool,
        outlier_detection=found.outlier_detection or default.outlier_detection,
    )


def _of_port(policy: TrafficPolicy | None, port: int) -> Settings:
    """A port's own settings replace the general ones as a whole; nothing of those is inherited (Istio)."""
    if policy is None:
        return NONE
    chosen = _port_level(policy, port) or policy
    found = Settings(chosen.load_balancer, chosen.connection_pool, chosen.outlier_detection, chosen.tls)
    if isinstance(chosen, TrafficPolicy):
        return replace(found, retry_budget=chosen.retry_budget, proxy_protocol=chosen.proxy_protocol)
    return found


def _port_level(policy: TrafficPolicy, port: int) -> PortTrafficPolicy | None:
    return next((settings for settings in policy.port_level_settings or () if settings.port.number == port), None)
