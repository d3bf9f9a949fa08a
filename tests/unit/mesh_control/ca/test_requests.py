"""Requests of everybody's making: what is refused, and that whatever is taken gives the same kind of certificate."""

import base64
import contextlib
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from mesh_api.identity import SpiffeId
from mesh_control.ca import pem
from mesh_control.ca.certificates import make_root, sign_workload
from mesh_control.ca.requests import ForbiddenError, RequestError, check
from mesh_control.ca.tokens import Grant
from tests.support.certificate_client import request_pem

NOW = 1_800_000_000.0
KEY = pem.new_key()
ROOT = make_root("cluster.local", pem.new_key(), NOW)
STORE = "spiffe://cluster.local/ns/default/sa/store"
REQUEST = x509.load_pem_x509_csr(request_pem(KEY, [STORE]).encode()).public_bytes(serialization.Encoding.DER)
ONE = Grant("cluster.local", "default", "store")
MANY = Grant("cluster.local", "default", "*")


def test_the_identity_that_is_asked_for() -> None:
    found = check(request_pem(KEY, [STORE]))
    assert (str(found.identity), found.foreign) == (STORE, ())
    assert found.key == KEY.public_key()
    assert str(found.granted(ONE)) == str(found.granted(MANY)) == STORE


def test_without_a_name_it_is_the_only_one_that_is_proven() -> None:
    found = check(request_pem(KEY))
    assert str(found.granted(ONE)) == STORE
    with pytest.raises(RequestError, match="names no identity"):
        found.granted(MANY)


@pytest.mark.parametrize(
    "other",
    [
        "spiffe://cluster.local/ns/default/sa/other",
        "spiffe://cluster.local/ns/other/sa/store",
        "spiffe://other/ns/default/sa/store",
        "spiffe://cluster.local/ns/default/sa/store2",
        "spiffe://cluster.local/ns/default/sa/store/x",
        "spiffe://cluster.local",
        "spiffe://CLUSTER.local/ns/default/sa/store",
        "https://cluster.local/ns/default/sa/store",
        "spiffe://cluster.local/ns/default/sa/../sa/store",
    ],
)
def test_another_identity_than_is_proven(other: str) -> None:
    for names in ([other], [STORE, other], [other, STORE]):
        with pytest.raises(ForbiddenError):
            check(request_pem(KEY, names)).granted(ONE)


@pytest.mark.parametrize(
    "other",
    [
        x509.DNSName("istiod.istio-system.svc"),
        x509.IPAddress(ipaddress.ip_address("10.0.0.1")),
        x509.RFC822Name("root@example.com"),
        x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "istiod")])),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"),
    ],
    ids=lambda name: type(name).__name__,
)
def test_names_of_other_kinds_are_other_identities(other: x509.GeneralName) -> None:
    for uris in ([], [STORE]):
        with pytest.raises(ForbiddenError):
            check(request_pem(KEY, uris, [other])).granted(ONE)


def test_the_subject_is_no_name() -> None:
    request = check(request_pem(KEY, [STORE], common_name="istiod.istio-system.svc"))
    [made] = sign_workload(ROOT, request.key, request.granted(ONE), NOW, 60)
    assert list(made.subject) == []


REFUSED = {
    "P-521": (lambda: request_pem(ec.generate_private_key(ec.SECP521R1()), [STORE]), "curve secp521r1"),
    "short RSA": (lambda: request_pem(rsa.generate_private_key(65537, 1024), [STORE]), "1024 bits"),
    "Ed25519": (lambda: _ed25519(), "neither ECDSA nor RSA"),
    "weak hash": (lambda: request_pem(KEY, [STORE], algorithm=hashes.SHA224()), "a hash other than"),
    "authority": (
        lambda: request_pem(KEY, [STORE], extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)]),
        "signs others",
    ),
    "no request": (lambda: "hello", "not one PEM block"),
    "empty": (lambda: "", "not one PEM block"),
    "two": (lambda: request_pem(KEY, [STORE]) * 2, "not one PEM block"),
    "long": (lambda: request_pem(KEY, [STORE]) + "\n" * 40_000, "not one PEM block"),
    "a certificate": (lambda: pem.write_certificates(ROOT.roots), "cannot be read"),
    "a key": (lambda: pem.write_key(KEY).decode(), "cannot be read"),
}


def _ed25519() -> str:
    key = ed25519.Ed25519PrivateKey.generate()
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, None)
    return made.public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    request, message = REFUSED[name]
    with pytest.raises(RequestError, match=message):
        check(request())


def test_a_key_that_the_sender_has_not() -> None:
    """The signature is another request's: whoever sends this has seen a public key, and no private one."""
    der = bytearray(REQUEST)
    der[-1] ^= 1
    with pytest.raises(RequestError):
        check(as_pem(bytes(der)))


def as_pem(der: bytes) -> str:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


ODD_NAMES = st.lists(
    st.one_of(
        st.builds(x509.DNSName, st.from_regex(r"[a-z*.-]{1,12}", fullmatch=True)),
        st.builds(x509.RFC822Name, st.just("a@b.c")),
        st.builds(
            x509.UniformResourceIdentifier,
            st.one_of(
                st.sampled_from([STORE, STORE.upper(), STORE + "/", "spiffe://", "urn:x"]),
                st.text(st.characters(max_codepoint=126), min_size=1, max_size=30).map(lambda t: f"spiffe://{t}"),
            ),
        ),
    ),
    max_size=3,
)
ODD_EXTENSIONS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                x509.BasicConstraints(ca=False, path_length=None),
                x509.KeyUsage(True, True, True, True, True, True, True, False, False),
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),
                x509.NameConstraints([x509.DNSName("x")], None),
                x509.IssuerAlternativeName([x509.DNSName("x")]),
                x509.OCSPNoCheck(),
                x509.TLSFeature([x509.TLSFeatureType.status_request]),
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"),
                x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.5"), b"anything"),
            ]
        ),
        st.booleans(),
    ),
    max_size=4,
    unique_by=lambda row: row[0].oid,
)


@settings(max_examples=150, deadline=None)
@given(ODD_NAMES, ODD_EXTENSIONS, st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=20))
def test_whatever_is_asked_the_certificate_says_what_was_proven(
    names: list[x509.GeneralName], extensions: list[tuple[x509.ExtensionType, bool]], subject: str
) -> None:
    request = request_pem(KEY, (), names, extensions, subject)
    try:
        checked = check(request)
        identity = checked.granted(ONE)
    except (RequestError, ForbiddenError):
        assert names, "nothing in it is a reason to refuse"
        return
    assert {name.value for name in names} <= {STORE}
    [made] = sign_workload(ROOT, checked.key, identity, NOW, 60)
    [plain] = sign_workload(ROOT, KEY.public_key(), SpiffeId.parse(STORE), NOW, 60)
    assert list(made.extensions) == list(plain.extensions)
    assert (made.subject, made.public_key()) == (plain.subject, plain.public_key())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bytes_surprise(data: st.DataObject) -> None:
    """A valid request with bytes changed, cut or put in; and bytes of no meaning."""
    der = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(der) - 1))
        der[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(RequestError):
        assert check(as_pem(bytes(der))).key == KEY.public_key()


@given(st.text())
def test_no_text_surprises(text: str) -> None:
    with pytest.raises(RequestError):
        check(text)
