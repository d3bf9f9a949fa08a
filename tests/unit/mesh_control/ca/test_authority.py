"""The authority at work, without sockets: who gets what, what is written down, and rotation from outside."""

import json
import logging
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from mesh_control.ca import pem
from mesh_control.ca.authority import Authority, AuthorityError, Caller, DeniedError, LifetimeError, Terms
from mesh_control.ca.requests import ForbiddenError, RequestError
from mesh_control.ca.rotation import Phase
from mesh_control.ca.store import Store
from mesh_control.ca.tokens import Grant, TokenError
from tests.support.certificate_client import request_pem
from tests.support.given_files import Offline

NOW = 1_800_000_000.0
DAY = 86400.0
STORE = "spiffe://cluster.local/ns/default/sa/store"
GRANT = Grant("cluster.local", "default", "store")
KUBERNETES = Caller(GRANT, "service account default/store")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(Store(tmp_path / "ca"), Terms(), NOW)


def asked(key: ec.EllipticCurvePrivateKey | None = None) -> str:
    return request_pem(key or pem.new_key(), [STORE])


def issue(
    authority: Authority, caller: Caller = KUBERNETES, now: float = NOW, seconds: float = 0.0
) -> x509.Certificate:
    chain = authority.issue(caller, asked(), seconds, "10.0.0.1:1", now)
    return x509.load_pem_x509_certificate(chain[0].encode())


def joined(authority: Authority, uses: int = 1, pattern: str = "default/store", now: float = NOW) -> tuple[str, Caller]:
    text, token = authority.create_token(pattern, 3600, uses, "", now)
    return text, Caller(token.grant, f"join token {token.id}", token=token.id)


def test_an_answer_is_istios(authority: Authority) -> None:
    leaf, roots = authority.issue(KUBERNETES, asked(), 0, "", NOW)
    assert leaf.startswith("-----BEGIN CERTIFICATE-----\n")
    assert leaf.endswith("-----END CERTIFICATE-----\n")
    assert roots == authority.bundle()
    certificate = x509.load_pem_x509_certificate(leaf.encode())
    assert pem.expires(certificate) == NOW + DAY
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(roots.encode()))


def test_lifetimes(authority: Authority) -> None:
    assert pem.expires(issue(authority, seconds=60)) == NOW + 60
    assert pem.expires(issue(authority, seconds=-5)) == NOW + DAY
    assert pem.expires(issue(authority, seconds=90 * DAY)) == NOW + 90 * DAY
    with pytest.raises(LifetimeError):
        issue(authority, seconds=90 * DAY + 1)


def test_a_join_token_is_used_once(authority: Authority) -> None:
    _, caller = joined(authority)
    issue(authority, caller)
    with pytest.raises(DeniedError, match="used up"):
        issue(authority, caller)


def test_an_answer_that_was_lost_can_be_asked_for_again_with_the_same_key(authority: Authority) -> None:
    _, caller = joined(authority)
    key = pem.new_key()
    for _ in range(2):
        authority.issue(caller, asked(key), 0, "", NOW)
    with pytest.raises(DeniedError, match="used up"):
        issue(authority, caller)


def test_what_is_refused_uses_nothing_up(authority: Authority) -> None:
    _, caller = joined(authority)
    with pytest.raises(ForbiddenError):
        authority.issue(caller, request_pem(pem.new_key(), [STORE + "2"]), 0, "", NOW)
    with pytest.raises(RequestError):
        authority.issue(caller, "no request", 0, "", NOW)
    with pytest.raises(LifetimeError):
        issue(authority, caller, seconds=1e9)
    issue(authority, caller)


def test_tokens_that_were_revoked_or_have_expired(authority: Authority) -> None:
    text, caller = joined(authority, uses=5)
    assert authority.token_of(text, NOW).id == caller.token
    assert authority.revoke_token(caller.token, NOW + 1, renewals=False) == 0
    with pytest.raises(DeniedError, match="revoked"):
        issue(authority, caller, NOW + 2)
    with pytest.raises(DeniedError, match="revoked"):
        authority.token_of(text, NOW + 2)
    text, caller = joined(authority)
    with pytest.raises(DeniedError, match="expired"):
        issue(authority, caller, NOW + 3600)
    with pytest.raises(DeniedError, match="expired"):
        authority.token_of(text, NOW + 3600)
    assert authority.revoke_token("0" * 12, NOW, renewals=True) is None
    assert [token["state"] for token in authority.tokens(NOW + 3600)] == ["revoked", "expired"]


def test_a_token_that_was_changed_is_none(authority: Authority) -> None:
    text, _ = joined(authority)
    name, secret = text.split(".")[1:]
    for wrong in ("", text[:-1], text + "a", f"mwjt.{'0' * 12}.{secret}", f"mwjt.{name}.{'A' * 43}"):
        with pytest.raises(DeniedError, match="no such join token"):
            authority.token_of(wrong, NOW)


def renewal(certificate: x509.Certificate) -> Caller:
    serial = f"{certificate.serial_number:x}"
    return Caller(GRANT, f"certificate {serial}", serial=serial)


def test_what_a_token_brought_can_be_stopped_from_renewing_along_all_its_renewals(authority: Authority) -> None:
    _, bad = joined(authority)
    _, good = joined(authority)
    first, other = issue(authority, bad), issue(authority, good)
    second = issue(authority, renewal(first), NOW + 60)
    assert authority.revoke_token(bad.token, NOW + 120, renewals=True) == 2
    for certificate in (first, second):
        assert authority.is_revoked(f"{certificate.serial_number:x}")
        with pytest.raises(DeniedError, match="was revoked"):
            issue(authority, renewal(certificate), NOW + 180)
    issue(authority, renewal(other), NOW + 180)


def test_every_certificate_is_in_the_log_and_no_secret(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        text, caller = joined(authority)
        certificate = issue(authority, caller)
        authority.refused("the reason", "10.0.0.2:2", "a proof", NOW)
        authority.rotate(NOW)
    lines = [json.loads(r.getMessage()) for r in caplog.records if r.name == "mesh_control.ca.audit"]
    assert [line["event"] for line in lines] == ["token created", "issued", "refused"]
    assert lines[1] == {
        "event": "issued",
        "serial": f"{certificate.serial_number:x}",
        "authority": authority.signer().name,
        "identity": STORE,
        "proof": f"join token {caller.token}",
        "token": caller.token,
        "address": "10.0.0.1:1",
        "at": NOW,
        "expires": NOW + DAY,
    }
    assert text.split(".")[2] not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def phases(authority: Authority) -> list[str]:
    return [member.phase.value for member in authority.trust.members]


def test_rotation(authority: Authority) -> None:
    old = issue(authority)
    authority.rotate(NOW + 1)
    with pytest.raises(AuthorityError, match="one rotation after another"):
        authority.rotate(NOW + 2)
    assert phases(authority) == ["current", "next"]
    assert authority.bundle().count("BEGIN CERTIFICATE") == 2
    during = issue(authority, now=NOW + DAY)
    assert during.issuer == old.issuer
    assert not authority.tick(NOW + DAY)
    assert authority.tick(NOW + DAY + 120)
    new = issue(authority, now=NOW + DAY + 121)
    assert new.issuer != old.issuer
    assert len(authority.bundle().split("BEGIN")) == 3
    assert authority.tick(NOW + 2 * DAY + 120)
    assert phases(authority) == ["current"]
    assert authority.bundle().count("BEGIN CERTIFICATE") == 1


def test_a_root_is_followed_by_the_next_before_it_ends(tmp_path: Path) -> None:
    authority = Authority(Store(tmp_path / "ca"), Terms(leaf_seconds=DAY, root_seconds=100 * DAY), NOW)
    for day in range(1, 400):
        authority.tick(NOW + day * DAY)
        issue(authority, now=NOW + day * DAY)
        status = authority.status(NOW + day * DAY)
        assert status["problem"] == ""
        assert min(m.expires for m in authority.trust.members if m.phase is Phase.CURRENT) > NOW + (day + 2) * DAY
        assert len(status["roots"]) <= 2


def test_after_years_without_power_it_begins_anew(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    issue(Authority(store, Terms(), NOW))
    store.close()
    later = NOW + 20 * 365 * DAY
    authority = Authority(Store(tmp_path / "ca"), Terms(), later)
    assert authority.trust.current is not None
    assert authority.trust.current.expires > later
    issue(authority, now=later)


def test_it_is_the_same_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    authority = Authority(store, Terms(), NOW)
    issue(authority)
    authority.rotate(NOW)
    before = (authority.trust, authority.bundle())
    store.close()
    again = Authority(Store(tmp_path / "ca"), Terms(), NOW + 1)
    assert (again.trust, again.bundle()) == before


def test_a_given_authority_and_the_next_one(tmp_path: Path) -> None:
    offline = Offline.made()
    first, second = offline.intermediate(), offline.intermediate(seconds=86400.0 * 700)
    store = Store(tmp_path / "ca")
    authority = Authority(store, Terms(), NOW, first)
    leaf, between, roots = authority.issue(KUBERNETES, asked(), 0, "", NOW)
    assert between == pem.write_certificates([first.certificate])
    assert roots == pem.write_certificates(offline.root.roots)
    with pytest.raises(AuthorityError, match="given as files"):
        authority.rotate(NOW)
    assert not authority.adopt(first, NOW)
    assert authority.adopt(second, NOW + 1)
    assert phases(authority) == ["current", "next"]
    assert authority.bundle() == roots, "both are below one root"
    store.close()
    again = Authority(Store(tmp_path / "ca"), Terms(), NOW + DAY + 121, second)
    assert phases(again) == ["retiring", "current"]
    assert again.signer().certificate == second.certificate
    with pytest.raises(AuthorityError, match="was replaced before"):
        again.adopt(first, NOW + DAY + 122)
    assert set(again.measured(NOW)) == {
        "citadel_server_root_cert_expiry_timestamp",
        "citadel_server_root_cert_expiry_seconds",
        "citadel_server_cert_chain_expiry_timestamp",
        "citadel_server_cert_chain_expiry_seconds",
    }
    assert leaf != between


def test_a_root_that_is_added_to_the_given_files_is_trusted_at_once(tmp_path: Path) -> None:
    offline, other = Offline.made(), Offline.made()
    first = offline.intermediate()
    authority = Authority(Store(tmp_path / "ca"), Terms(), NOW, first)
    both = type(first)(first.certificate, first.key, first.chain, (*first.roots, *other.root.roots))
    assert authority.adopt(both, NOW)
    assert authority.bundle() == pem.write_certificates(both.roots)


def test_a_given_authority_that_ends_is_told(tmp_path: Path) -> None:
    first = Offline.made().intermediate(seconds=100 * DAY)
    authority = Authority(Store(tmp_path / "ca"), Terms(), NOW, first)
    assert authority.problem(NOW) == ""
    assert "give another" in authority.problem(NOW + 85 * DAY)
    assert "has expired" in authority.problem(NOW + 100 * DAY)


def test_from_a_root_of_ours_to_a_given_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "ca")
    old = issue(Authority(store, Terms(), NOW))
    store.close()
    first = Offline.made().intermediate()
    authority = Authority(Store(tmp_path / "ca"), Terms(), NOW + 1, first)
    assert phases(authority) == ["current", "next"]
    assert issue(authority, now=NOW + 2).issuer == old.issuer
    authority.tick(NOW + DAY + 200)
    assert issue(authority, now=NOW + DAY + 200).issuer == first.certificate.subject


def test_names_that_are_none(authority: Authority) -> None:
    with pytest.raises(TokenError):
        authority.create_token("default", 60, 1, "", NOW)


def test_the_status(authority: Authority) -> None:
    issue(authority)
    issue(authority, seconds=60)
    found = authority.status(NOW)
    assert (found["certificates"], found["first_expiry"], found["problem"]) == (2, NOW + 60, "")
    assert json.loads(json.dumps(found)) == found
