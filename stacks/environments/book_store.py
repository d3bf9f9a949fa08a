"""The demo's traffic policies: what is published, and what each scenario adds."""

from collections.abc import Sequence

from mesh_policy import CanaryRelease, CircuitBreaker, Exposed, Policy, Redirect, Route, Timeout, Traffic
from mesh_policy.releases import Statement
from stacks.environment import Environment
from stacks.environments import authentication, database

BOOKS = "book-store"
SHOPS = {BOOKS: "book-store.local", "store": "store.services.local"}
"""Service to the host name that it is published by."""

SCENARIOS: dict[str, tuple[Statement, ...]] = {
    "steady": (CanaryRelease(service=BOOKS, stable="v1", candidate="v2", weight=0),),
    "timeout": (
        Route(service=BOOKS, path="/", version="v1"),
        Timeout(service=BOOKS, path="/api/v1/books", after="15s"),
    ),
    "routing": (
        Route(service=BOOKS, path="/", version="v1"),
        Redirect(service=BOOKS, path="/api/v1", to="/api/v2", headers={"x-api-version": "v2"}),
    ),
    "canary": (CanaryRelease(service=BOOKS, stable="v1", candidate="v2", weight=50),),
    "circuit-breaker": (
        Route(service=BOOKS, path="/", version="v2"),
        CircuitBreaker(service=BOOKS, errors=10, ejection="30s"),
    ),
    "authentication": (CanaryRelease(service=BOOKS, stable="v1", candidate="v2", weight=0),),
}
"""Statements about the book store, by scenario."""
FURTHER: dict[str, Sequence[Policy]] = {"authentication": authentication.POLICIES}
"""Policies that no statement stands for, by scenario."""


def policies(environment: Environment) -> Sequence[Policy]:
    """The policies of the environment's scenario; the shops that are there are always published, and the database is always
    reached as it must be."""
    gateway = environment.mesh.gateway
    there = {service.name for service in environment.services}
    published = [
        Exposed(service=service, hostname=hostname, gateway=gateway.name, port=gateway.http_port, bind=gateway.bind)
        for service, hostname in SHOPS.items()
        if service in there
    ]
    traffic = Traffic(*published, *SCENARIOS[environment.scenario]).expand()
    return [*traffic, *database.policies(environment), *FURTHER.get(environment.scenario, ())]
