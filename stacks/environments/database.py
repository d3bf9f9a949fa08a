"""How workloads reach PostgreSQL: through their sidecars, in plain text. It has no sidecar, and no TLS of its own here;
between workloads TLS is on by itself."""

from typing import Final

from mesh_policy import DestinationRule, Policy
from mesh_policy.networking.client_tls import ClientTls
from mesh_policy.networking.destination_rule import DestinationRuleSpec, TrafficPolicy
from stacks.environment import Environment

PLAIN: Final = TrafficPolicy(tls=ClientTls(mode="DISABLE"))


def policies(environment: Environment) -> tuple[Policy, ...]:
    """None where there is no database."""
    if environment.postgresql is None:
        return ()
    name = environment.postgresql.service
    return (DestinationRule.of(name, DestinationRuleSpec(host=name, traffic_policy=PLAIN)),)
