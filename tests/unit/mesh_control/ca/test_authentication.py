"""Who is believed: with a token, with a certificate, with both, with something that looks like either."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mesh_api.identity import SpiffeId
from mesh_control.ca import certificates, pem, token_review
from mesh_control.ca.authentication import Credentials, JoinTokens, PeerCertificates, authenticate
from mesh_control.ca.authority import Authority, Caller, DeniedError, Terms
from mesh_control.ca.store import Store
from mesh_control.ca.token_review import TokenReviews, service_account
from tests.support.certificate_client import request_pem

NOW = 1_800_000_000.0
STORE = SpiffeId.workload("cluster.local", "default", "store")
AUDIENCE = ("istio-ca",)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(Store(tmp_path / "ca"), Terms(), NOW)


def certificate(authority: Authority, caller: Caller) -> x509.Certificate:
    request = request_pem(pem.new_key(), [str(STORE)])
    return x509.load_pem_x509_certificate(authority.issue(caller, request, 600, "", NOW)[0].encode())


async def test_a_join_token(authority: Authority) -> None:
    text, token = authority.create_token("default/*", 60, 1, "", NOW)
    found = await authenticate([JoinTokens(authority)], Credentials(text), NOW)
    assert (str(found.grant), found.token) == ("spiffe://cluster.local/ns/default/sa/*", token.id)


async def test_a_certificate_proves_its_identity_and_no_other(authority: Authority) -> None:
    text, _ = authority.create_token("default/*", 60, 1, "", NOW)
    shown = certificate(authority, await authenticate([JoinTokens(authority)], Credentials(text), NOW))
    found = await authenticate([PeerCertificates(authority)], Credentials("", shown), NOW)
    assert found.grant.single == STORE
    assert found.serial == f"{shown.serial_number:x}"


async def test_a_certificate_that_expired_while_the_connection_lasted(authority: Authority) -> None:
    text, _ = authority.create_token("default/store", 60, 1, "", NOW)
    shown = certificate(authority, await authenticate([JoinTokens(authority)], Credentials(text), NOW))
    for late in (NOW + 600, NOW - 121):
        with pytest.raises(DeniedError, match="not valid now"):
            await authenticate([PeerCertificates(authority)], Credentials("", shown), late)


async def test_a_certificate_that_was_revoked(authority: Authority) -> None:
    text, token = authority.create_token("default/store", 60, 1, "", NOW)
    shown = certificate(authority, await authenticate([JoinTokens(authority)], Credentials(text), NOW))
    authority.revoke_token(token.id, NOW, renewals=True)
    with pytest.raises(DeniedError, match="revoked"):
        await authenticate([PeerCertificates(authority)], Credentials("", shown), NOW)


FOREIGN = {
    "server": lambda signer, key: certificates.sign_server(signer, key, ["istiod.istio-system.svc"], NOW, 60),
    "no workload": lambda signer, key: certificates.sign_workload(signer, key, SpiffeId("cluster.local", ()), NOW, 60),
    "other domain": lambda signer, key: certificates.sign_workload(
        signer, key, SpiffeId.workload("other", "a", "b"), NOW, 60
    ),
    "two": lambda signer, key: certificates._leaf(
        signer, key, [x509.UniformResourceIdentifier(str(STORE))] * 2, NOW, 60, [x509.OID_CLIENT_AUTH]
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_certificates_that_name_no_workload_of_ours(authority: Authority, kind: str) -> None:
    made = FOREIGN[kind](authority.signer(), pem.new_key().public_key())[0]
    with pytest.raises(DeniedError):
        await authenticate([PeerCertificates(authority)], Credentials("", made), NOW)


async def test_an_old_token_does_not_spoil_a_certificate(authority: Authority) -> None:
    """Istio's agent shows both for as long as the file with the token is there."""
    text, token = authority.create_token("default/store", 60, 1, "", NOW)
    everyone = [PeerCertificates(authority), JoinTokens(authority)]
    shown = certificate(authority, await authenticate(everyone, Credentials(text), NOW))
    found = await authenticate(everyone, Credentials(text, shown), NOW + 300)
    assert found.serial
    with pytest.raises(DeniedError, match=f"not valid now; join token {token.id} has expired"):
        await authenticate(everyone, Credentials(text, shown), NOW + 600)


@pytest.mark.parametrize("bearer", ["", "mwjt", "mwjt.", "mwjt.x.y", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"])
async def test_who_shows_nothing_is_nobody(authority: Authority, bearer: str) -> None:
    with pytest.raises(DeniedError):
        await authenticate([PeerCertificates(authority), JoinTokens(authority)], Credentials(bearer), NOW)
    with pytest.raises(DeniedError):
        await authenticate([], Credentials(bearer), NOW)


def review(**changes: Any) -> dict[str, Any]:
    user = {
        "username": "system:serviceaccount:default:store",
        "groups": ["system:serviceaccounts", "system:authenticated"],
    }
    return {
        "status": {"authenticated": True, "audiences": ["istio-ca"], "user": user | changes.pop("user", {}), **changes}
    }


def test_a_service_account() -> None:
    assert service_account(review(), AUDIENCE) == ("default", "store")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"status": None},
        {"status": []},
        review(authenticated=False),
        review(authenticated="yes"),
        review(error="token has expired"),
        review(audiences=[]),
        review(audiences=None),
        review(audiences=["https://kubernetes.default.svc"]),
        review(audiences="istio-ca"),
        review(user={"groups": ["system:authenticated"]}),
        review(user={"groups": None}),
        review(user={"username": "system:node:default:store"}),
        review(user={"username": "system:serviceaccount:default"}),
        review(user={"username": "system:serviceaccount:default:store:x"}),
        review(user={"username": None}),
    ],
)
def test_answers_that_prove_nothing(answer: dict[str, Any]) -> None:
    with pytest.raises(DeniedError):
        service_account(answer, AUDIENCE)


async def test_the_api_server_is_asked_about_other_peoples_tokens_only() -> None:
    asked: list[tuple[str, dict[str, Any]]] = []

    async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        asked.append((path, body))
        return review()

    reviews = TokenReviews(post, "cluster.local")
    assert await reviews.authenticate(Credentials(""), NOW) is None
    assert await reviews.authenticate(Credentials("mwjt.0123456789ab.secret"), NOW) is None
    assert asked == []
    found = await reviews.authenticate(Credentials("a.jwt.token"), NOW)
    assert found == Caller(found.grant if found else None, "service account default/store")  # type: ignore[arg-type]
    assert found.grant.single == STORE
    [(path, body)] = asked
    assert path == token_review.PATH
    assert body["spec"] == {"token": "a.jwt.token", "audiences": ["istio-ca"]}
    with pytest.raises(DeniedError, match="too long"):
        await reviews.authenticate(Credentials("a" * 20_000), NOW)


async def test_names_that_make_no_identity() -> None:
    async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        return review(user={"username": "system:serviceaccount:default:st/ore"})

    with pytest.raises(DeniedError):
        await TokenReviews(post, "cluster.local").authenticate(Credentials("a.jwt.token"), NOW)


async def test_an_api_server_that_does_not_answer_is_no_proof() -> None:
    async def post(path: str, body: dict[str, Any]) -> dict[str, Any]:
        raise OSError("connection refused")

    with pytest.raises(DeniedError, match="did not answer: connection refused"):
        await TokenReviews(post, "cluster.local").authenticate(Credentials("a.jwt.token"), NOW)
