"""Settings of the whole mesh's traffic: what nobody declares, what a DestinationRule does not say, who sees what."""

from typing import Literal

from mesh_policy.base import Flag
from mesh_policy.hosts import Host
from mesh_policy.mesh_config.selectors import KnownSelector
from mesh_policy.mesh_config.values import Settings
from mesh_policy.networking.client_tls import ClientTls
from mesh_policy.networking.connection_pool import ConnectionPool
from mesh_policy.networking.destination_rule import OutlierDetection

Visibility = Literal["VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC"]
"""Who sees a ServiceEntry: nobody, its namespace, everybody (PUBLIC, and VISIBILITY_UNSPECIFIED)."""


class UnknownOutbound(Settings):
    """What happens to requests for hosts that nobody declares. A Sidecar can say otherwise."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"] = "REGISTRY_ONLY"
    """REGISTRY_ONLY (default where the setting stands at all) refuses them, ALLOW_ANY lets them out to the address that was
    asked for, ALLOW_ANY_DYNAMIC_DNS to the host that was. It is no firewall."""
    tls: ClientTls | None = None
    """TLS towards such hosts, with ALLOW_ANY_DYNAMIC_DNS."""


class UnknownInbound(Settings):
    """Where a sidecar sends requests to its workload."""

    mode: Literal["PASSTHROUGH", "LOCALHOST"] = "PASSTHROUGH"
    """PASSTHROUGH: to the address that was asked for; LOCALHOST: to the loopback address."""


class PathNormalization(Settings):
    """How paths are made comparable before anything looks at them."""

    normalization: Literal["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"] = "DEFAULT"
    """NONE: not at all; BASE (and DEFAULT): as RFC 3986 says, ``/a/../b`` is ``/b``; MERGE_SLASHES: ``//`` is ``/``, too;
    DECODE_AND_MERGE_SLASHES: ``%2F`` and ``%5C`` are slashes before that. Authorization by path is safe only where the
    application does the same."""


class DefaultTrafficPolicy(Settings):
    """What holds for hosts whose DestinationRule does not say; a rule that sets a block replaces the block."""

    connection_pool: ConnectionPool | None = None
    """Limits of connections and requests."""
    outlier_detection: OutlierDetection | None = None
    """Ejection of hosts that fail."""


class DefaultProviders(Settings):
    """Providers of Telemetries that name none."""

    tracing: tuple[str, ...] = ()
    """Where spans go."""
    metrics: tuple[str, ...] = ()
    """Where metrics go."""
    access_logging: tuple[str, ...] = ()
    """Where access logs go."""


class ServiceSettingsOfHosts(Settings):
    """What is set for the hosts."""

    cluster_local: Flag = False
    """Whether clients see the endpoints of their own cluster alone."""


class ServiceSettings(Settings):
    """Settings of some services, of a mesh of several clusters."""

    settings: ServiceSettingsOfHosts | None = None
    """What is set."""
    hosts: tuple[Host, ...] = ()
    """The services: full names, or ``*.SUFFIX``."""


class ServiceScope(Settings):
    """Which services other clusters see (ambient mode)."""

    namespace_selector: KnownSelector | None = None
    """Their namespaces; unset: all."""
    services_selector: KnownSelector | None = None
    """The services; unset: all."""
    scope: Literal["LOCAL", "GLOBAL"] = "LOCAL"
    """LOCAL: their own cluster; GLOBAL: all."""


class VisibilityRule(Settings):
    """A condition on a ServiceEntry."""

    namespace_selector: KnownSelector | None = None
    """Labels of its namespace."""


class VisibilityPolicy(Settings):
    """A visibility, and the ServiceEntries that have it."""

    visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    """Who sees them."""
    matching_rules: tuple[VisibilityRule, ...] = ()
    """Conditions, which must all hold."""


class ServiceEntryVisibility(Settings):
    """Who sees ServiceEntries, whatever their ``exportTo`` says."""

    default_visibility: Visibility = "VISIBILITY_UNSPECIFIED"
    """That of one that no policy is for."""
    apply_to_sidecars: Flag = False
    """Whether sidecars keep to it, too, rather than to ``exportTo``."""
    policies: tuple[VisibilityPolicy, ...] = ()
    """The first whose conditions all hold counts."""
