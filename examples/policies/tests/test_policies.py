"""Policies are tested like any code: no cluster, no proxy, a question and its answer."""

from collections.abc import Callable, Sequence

import authentication
import canary
import circuit_breaker
import pytest
import routing
import timeout

from mesh_policy import Policy
from mesh_policy.releases.machine import Order, State
from mesh_simulation import Mesh, Request, simulate

MakeMesh = Callable[[Sequence[Policy]], Mesh]
BOOKS = "http://book-store:8080/api/v1/books"


def test_only_the_slow_path_has_a_timeout(with_policies: MakeMesh) -> None:
    mesh = with_policies(timeout.POLICIES)
    assert simulate(mesh, Request("client", BOOKS)).timeout == 15.0
    assert simulate(mesh, Request("client", "http://book-store:8080/api/v1/ping")).timeout == 0.0


def test_who_asks_for_the_second_version_is_sent_there(with_policies: MakeMesh) -> None:
    mesh = with_policies(routing.POLICIES)
    plain = Request("client", "http://book-store:8080/api/v1")
    assert simulate(mesh, plain).goes_to("book-store", subset="v1")
    asked = Request("client", "http://book-store:8080/api/v1", headers={"x-api-version": "v2"})
    assert simulate(mesh, asked).redirects_to("http://book-store:8080/api/v2")
    followed = Request("client", "http://book-store:8080/api/v2")
    assert simulate(mesh, followed).goes_to("book-store", subset="v2")


def test_a_release_moves_traffic_step_by_step(with_policies: MakeMesh) -> None:
    (rollout,) = canary.RELEASE.rollouts()
    state, shares = State(), []
    mesh = with_policies(rollout.policies(state))
    shares.append(simulate(mesh, Request("client", BOOKS)).share_to("book-store", "v2"))
    state, policies = rollout.order(state, Order.START, now=0.0)
    shares.append(simulate(with_policies(policies), Request("client", BOOKS)).share_to("book-store", "v2"))
    state, policies = rollout.order(state, Order.PROMOTE, now=1.0)
    shares.append(simulate(with_policies(policies), Request("client", BOOKS)).share_to("book-store", "v2"))
    assert shares == [0.0, 5.0, 100.0]


def test_the_circuit_breaker_changes_no_route(with_policies: MakeMesh) -> None:
    assert simulate(with_policies(circuit_breaker.POLICIES), Request("client", BOOKS)).goes_to("book-store")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (Request("client", BOOKS), 200),
        (Request("client", BOOKS, principal=""), 503),
        (Request("client", "http://book-store:8080/api/v1/orders", method="POST"), 403),
        (
            Request(
                "client",
                "http://book-store:8080/api/v1/orders",
                method="POST",
                claims={"iss": "https://issuer.example", "sub": "ann", "role": "customer"},
            ),
            200,
        ),
        (
            Request(
                "client",
                "http://book-store:8080/api/v1/orders",
                method="POST",
                claims={"iss": "https://issuer.example", "sub": "bob", "role": "guest"},
            ),
            403,
        ),
    ],
    ids=["reading", "plain text", "buying without a token", "a customer buys", "a guest does not"],
)
def test_who_may_do_what(with_policies: MakeMesh, request_: Request, status: int) -> None:
    assert simulate(with_policies(authentication.POLICIES), request_).status == status
