"""Type URLs of the resources and the order in which they travel."""

from typing import Final

PREFIX: Final = "type.googleapis.com/"

CLUSTER: Final = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = PREFIX + "envoy.config.listener.v3.Listener"
ROUTE: Final = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET: Final = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
"""Keys, certificates and trusted roots. They have no place in the order below: who needs one waits for it."""

ADS_ORDER: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE)
"""Make before break: a cluster and its endpoints arrive before the listeners and routes that send to it (Envoy's xDS
protocol, "Eventual consistency considerations")."""

WILDCARD: Final = frozenset({CLUSTER, LISTENER})
"""Types of which a proxy takes every resource; a response carries the complete set and absence means removal."""

SHORT_NAMES: Final = {CLUSTER: "CDS", ENDPOINT: "EDS", LISTENER: "LDS", ROUTE: "RDS", SECRET: "SDS"}
"""For people: logs, status, metrics."""
