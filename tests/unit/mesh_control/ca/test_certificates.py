"""What is signed, as two others see it: cryptography's path validation, and OpenSSL."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from mesh_api.identity import SpiffeId
from mesh_control.ca import pem
from mesh_control.ca.certificates import CLOCK_SKEW, Signer, SigningError, make_root, sign_server, sign_workload

NOW = 1_800_000_000.0
DAY = 86400.0
STORE = SpiffeId.workload("cluster.local", "default", "store")
KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.fixture(scope="module")
def root() -> Signer:
    return make_root("cluster.local", pem.new_key(), NOW)


def verified(certificate: x509.Certificate, roots: tuple[x509.Certificate, ...], now: float) -> list[x509.GeneralName]:
    """The names that cryptography's verifier finds in a client's certificate."""
    at = datetime.fromtimestamp(now, UTC)
    verifier = PolicyBuilder().store(Store(roots)).time(at).build_client_verifier()
    return list(verifier.verify(certificate, []).subjects or ())


@pytest.mark.parametrize("kind", KEYS)
def test_a_workloads_certificate_is_what_a_verifier_takes(root: Signer, kind: str) -> None:
    [made] = sign_workload(root, KEYS[kind]().public_key(), STORE, NOW, DAY)
    assert verified(made, root.roots, NOW) == [x509.UniformResourceIdentifier(str(STORE))]
    for wrong in (NOW - CLOCK_SKEW - 1, NOW + DAY + 1):
        with pytest.raises(VerificationError):
            verified(made, root.roots, wrong)


def test_another_root_says_nothing(root: Signer) -> None:
    other = make_root("cluster.local", pem.new_key(), NOW)
    [made] = sign_workload(other, pem.new_key().public_key(), STORE, NOW, DAY)
    with pytest.raises(VerificationError):
        verified(made, root.roots, NOW)
    assert verified(made, (*root.roots, *other.roots), NOW)


def test_the_form_is_istios(root: Signer) -> None:
    key = pem.new_key().public_key()
    [made] = sign_workload(root, key, STORE, NOW, DAY)
    assert made.version is x509.Version.v3
    assert list(made.subject) == []
    assert made.issuer == root.certificate.subject
    assert made.public_key() == key
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(seconds=DAY + CLOCK_SKEW)
    assert pem.expires(made) == NOW + DAY
    found = {extension.oid._name: (extension.critical, extension.value) for extension in made.extensions}
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(str(STORE))])
    assert found.pop("subjectAltName") == (True, names)
    assert found.pop("basicConstraints") == (True, x509.BasicConstraints(ca=False, path_length=None))
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    assert found.pop("extendedKeyUsage") == (False, usages)
    usage = found.pop("keyUsage")[1]
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, False, False)
    assert set(found) == {"authorityKeyIdentifier", "subjectKeyIdentifier"}


def test_serials_differ(root: Signer) -> None:
    key = pem.new_key().public_key()
    serials = {sign_workload(root, key, STORE, NOW, DAY)[0].serial_number for _ in range(20)}
    assert len(serials) == 20
    assert all(0 < serial < 2**159 for serial in serials)


def test_no_certificate_outlives_its_issuer(root: Signer) -> None:
    late = root.expires - 3600
    [made] = sign_workload(root, pem.new_key().public_key(), STORE, late, DAY)
    assert pem.expires(made) == root.expires
    with pytest.raises(SigningError, match="expired"):
        sign_workload(root, pem.new_key().public_key(), STORE, root.expires, DAY)


def test_the_control_planes_own_is_no_identity(root: Signer) -> None:
    names = ["istiod.istio-system.svc", "10.0.0.1", "::1"]
    [made] = sign_server(root, pem.new_key().public_key(), names, NOW, DAY)
    found = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert found.get_values_for_type(x509.DNSName) == ["istiod.istio-system.svc"]
    assert [str(address) for address in found.get_values_for_type(x509.IPAddress)] == ["10.0.0.1", "::1"]
    with pytest.raises(VerificationError):
        verified(made, root.roots, NOW)
    at = datetime.fromtimestamp(NOW, UTC)
    server = PolicyBuilder().store(Store(root.roots)).time(at).build_server_verifier(x509.DNSName(names[0]))
    assert server.verify(made, [])


def test_a_root_says_that_it_is_one(root: Signer) -> None:
    other = make_root("cluster.local", pem.new_key(), NOW)
    assert root.certificate.subject != other.certificate.subject
    assert root.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert root.expires == NOW + 3650 * DAY
    assert (root.chain, root.roots) == ((), (root.certificate,))
    long = make_root("a" * 255, pem.new_key(), NOW)
    assert long.certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)[0].value == "a" * 64


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("purpose", ["sslclient", "sslserver"])
def test_openssl_takes_it_at_its_strictest(root: Signer, tmp_path: Path, kind: str, purpose: str) -> None:
    [made] = sign_workload(root, KEYS[kind]().public_key(), STORE, NOW, DAY)
    (tmp_path / "root.pem").write_text(pem.write_certificates(root.roots))
    (tmp_path / "leaf.pem").write_text(pem.write_certificates([made]))
    command = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime", str(int(NOW))]
    done = subprocess.run(
        [*command, "-CAfile", tmp_path / "root.pem", tmp_path / "leaf.pem"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
