"""The demo's scenarios: what to ask through the gateway, and what must be seen.

Each module makes its requests with a :class:`~mesh_cli.scenarios.client.Client` and returns a
:class:`~mesh_cli.scenarios.report.Report`. To add a scenario: a module here and a line in :data:`SCENARIOS`.
"""

from mesh_cli.scenarios import authentication, canary, circuit_breaker, routing, timeout
from mesh_cli.scenarios.report import Scenario

SCENARIOS: dict[str, Scenario] = {
    "timeout": timeout.observe,
    "routing": routing.observe,
    "canary": canary.observe,
    "circuit-breaker": circuit_breaker.observe,
    "authentication": authentication.observe,
}
"""Name to what observes it."""
