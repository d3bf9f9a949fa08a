"""The scenario ``authentication``: what its policies decide about what `mesh observe` asks, without any machine."""

import base64
import contextlib
import json
import time
from pathlib import Path

import pytest
import yaml
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mesh_cli.scenarios import authentication as observed
from mesh_policy import dump
from mesh_simulation import Mesh, Request, simulate
from stacks import plan
from stacks.environment import InvalidEnvironmentError, parse
from stacks.environments import authentication, declaration
from stacks.program import direct

BOOKS = "http://book-store:8080/api/v1/books"
WAREHOUSE = "http://warehouse:8280/api/v1/warehouse"
NOW = int(time.time())


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    environment = parse(declaration("local").ENVIRONMENT, {"scenario": "authentication"})
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(yaml.safe_dump(plan.mesh_inventory(environment)))
    return Mesh.read([("policies", dump(list(declaration("local").policies(environment))))], inventory)


def status(mesh: Mesh, source: str, url: str, token: str = "") -> int | None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return simulate(mesh, Request(source, url, headers=headers)).status


def test_users_need_a_token_of_their_issuer(mesh: Mesh) -> None:
    assert authentication.ISSUER == observed.ISSUER
    assert status(mesh, "store", BOOKS) == 403
    assert status(mesh, "store", BOOKS, observed.token(observed.KEY, {"exp": NOW + 60})) == 200
    assert status(mesh, "store", BOOKS, observed.token(observed.KEY, {"exp": NOW + 60, "iss": "elsewhere"})) == 401


@pytest.mark.parametrize("good", [True, False])
def test_tokens_are_signed_with_the_key_of_the_policies(good: bool) -> None:
    """A simulation takes signatures for good."""
    (key,) = json.loads(authentication.KEYS)["keys"]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    signed, _, signature = observed.token(observed.KEY if good else observed.STRANGER, {}).rpartition(".")
    with contextlib.nullcontext() if good else pytest.raises(InvalidSignature):
        public.verify(base64.urlsafe_b64decode(signature + "=="), signed.encode())


def test_the_warehouse_answers_the_warranty_service_alone(mesh: Mesh) -> None:
    assert status(mesh, "warranty", WAREHOUSE) == 200
    assert status(mesh, "order", WAREHOUSE) == 403


def test_processes_without_certificates_have_no_such_scenario() -> None:
    with pytest.raises(InvalidEnvironmentError, match="authentication needs certificates"):
        parse(declaration("laptop").ENVIRONMENT, {"scenario": "authentication"})


def test_where_a_workload_is_past_the_gateway() -> None:
    assert direct(declaration("local").ENVIRONMENT) == "http://10.77.0.12:8080"
    assert direct(declaration("laptop").ENVIRONMENT) == ""
