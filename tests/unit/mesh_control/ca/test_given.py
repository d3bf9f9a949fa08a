"""Authorities that are given as files: what is taken, and what is told about what is not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mesh_api.identity import SpiffeId
from mesh_control.ca import given, pem
from mesh_control.ca.certificates import make_root, sign_workload
from mesh_control.ca.given import GivenError, read
from tests.support import go_programs
from tests.support.given_files import NOW, Offline, write

OFFLINE = Offline.made()


def test_an_intermediate(tmp_path: Path) -> None:
    made = OFFLINE.intermediate()
    found = read(write(tmp_path, made), NOW)
    assert (found.certificate, found.chain, found.roots) == (made.certificate, made.chain, made.roots)
    leaf, *chain = sign_workload(
        found, pem.new_key().public_key(), SpiffeId.parse("spiffe://td/ns/a/sa/b"), NOW, 86400.0
    )
    leaf.verify_directly_issued_by(made.certificate)
    assert chain == [made.certificate]


def test_intermediates_below_each_other(tmp_path: Path) -> None:
    upper = OFFLINE.intermediate(path_length=1)
    lower = OFFLINE.intermediate(upper, seconds=86400.0 * 30)
    found = read(write(tmp_path, lower), NOW)
    assert found.chain == (lower.certificate, upper.certificate)
    assert found.expires == NOW + 86400.0 * 30


def test_a_root_by_itself_needs_no_chain(tmp_path: Path) -> None:
    root = make_root("td", pem.new_key(), NOW)
    (write(tmp_path, root) / given.CHAIN).unlink()
    assert read(tmp_path, NOW).chain == ()


def test_several_roots_are_all_trusted(tmp_path: Path) -> None:
    made, other = OFFLINE.intermediate(), make_root("old", pem.new_key(), NOW)
    write(tmp_path, made)
    (tmp_path / given.ROOTS).write_text(pem.write_certificates([*other.roots, *made.roots]))
    assert read(tmp_path, NOW).roots == (*other.roots, *made.roots)


def test_rsa_keys_as_istios_makefile_makes_them(tmp_path: Path) -> None:
    made = OFFLINE.intermediate(key=rsa.generate_private_key(65537, 2048))
    assert read(write(tmp_path, made), NOW).certificate == made.certificate


def text(name: str, content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "no certificate": (lambda folder: (folder / given.CERTIFICATE).unlink(), "ca-cert.pem: No such file"),
    "no key": (lambda folder: (folder / given.KEY).unlink(), "No such file"),
    "no root": (lambda folder: (folder / given.ROOTS).unlink(), "root-cert.pem: No such file"),
    "open key": (lambda folder: (folder / given.KEY).chmod(0o644), "everybody may open it"),
    "garbage": (text(given.CERTIFICATE, "hello"), "no certificates in PEM"),
    "key garbage": (text(given.KEY, "hello"), "no private key in PEM"),
    "another key": (
        lambda folder: (folder / given.KEY).write_bytes(pem.write_key(pem.new_key())),
        "ca-key.pem is not the key of ca-cert.pem",
    ),
    "another root": (
        text(given.ROOTS, pem.write_certificates(make_root("x", pem.new_key(), NOW).roots)),
        "no way leads from ca-cert.pem",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    change, message = WRONG[name]
    change(write(tmp_path, OFFLINE.intermediate()))
    if name == "another root":
        (tmp_path / given.CHAIN).unlink()
    with pytest.raises(GivenError, match=message):
        read(tmp_path, NOW)


def test_a_root_of_the_same_name_with_another_key_is_no_issuer(tmp_path: Path) -> None:
    made = OFFLINE.intermediate()
    impostor = OFFLINE.intermediate(make_root("offline", pem.new_key(), NOW))
    write(tmp_path, made)
    (tmp_path / given.ROOTS).write_text(pem.write_certificates(impostor.roots))
    (tmp_path / given.CHAIN).write_text(pem.write_certificates([made.certificate]))
    with pytest.raises(GivenError, match="no way leads"):
        read(tmp_path, NOW)


def test_certificates_that_may_not_sign(tmp_path: Path) -> None:
    rows = {
        "may not sign certificates": OFFLINE.intermediate(authority=False),
        "may not sign": OFFLINE.intermediate(sign=False),
        "allows 0 authorities below it; there are 1": OFFLINE.intermediate(OFFLINE.intermediate(path_length=0)),
    }
    for number, (message, signer) in enumerate(rows.items()):
        with pytest.raises(GivenError, match=message):
            read(write(tmp_path / str(number), signer), NOW)


@pytest.mark.parametrize("at", [NOW - 86400.0, NOW + 86400.0 * 366])
def test_certificates_of_another_time(tmp_path: Path, at: float) -> None:
    write(tmp_path, OFFLINE.intermediate())
    with pytest.raises(GivenError, match="is valid from"):
        read(tmp_path, at)


def test_a_key_with_a_password_is_not_told(tmp_path: Path) -> None:
    made = OFFLINE.intermediate()
    write(tmp_path, made)
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    (tmp_path / given.KEY).write_bytes(locked)
    with pytest.raises(GivenError, match="without a password") as caught:
        read(tmp_path, NOW)
    assert locked.decode().splitlines()[1] not in str(caught.value)


def test_istios_own_example(tmp_path: Path) -> None:
    """``samples/certs`` of Istio's sources, which its tests and its documentation plug in."""
    module = go_programs.module("istio.io/istio")
    samples = module and module / "samples" / "certs"
    if samples is None or not (samples / given.CERTIFICATE).exists():
        pytest.skip("Istio's samples/certs are in no module cache of Go here")
    for name in (given.CERTIFICATE, given.KEY, given.ROOTS, given.CHAIN):
        (tmp_path / name).write_bytes((samples / name).read_bytes())
        (tmp_path / name).chmod(0o600)
    certificate = pem.read_certificates((tmp_path / given.CERTIFICATE).read_bytes())[0]
    found = read(tmp_path, pem.begins(certificate) + 1)
    assert found.certificate == certificate
