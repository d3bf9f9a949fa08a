"""Keys of issuers (RFC 7517, 7518, 8037) and whether a token is signed by one of them.

A key verifies what it is for and nothing else: a public key is no secret, whatever algorithm a token names.
"""

import base64
import hmac
from functools import lru_cache
from typing import Any, Final

from mesh_proxy.tokens import statuses
from mesh_proxy.tokens.token import Token, base64url, members

_EXPONENTS: Final = (3, 65537)
_CURVES: Final = {"P-256": ("ES256", 32), "P-384": ("ES384", 48), "P-521": ("ES512", 66)}
"""Of a curve, its algorithm, and the bytes of a coordinate."""
_OF_ALGORITHM: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_ED25519: Final = "Ed25519"
_SIGNATURE: Final = 64
"""Bytes of a signature of Ed25519."""
_DIGESTS: Final = {"256": "sha256", "384": "sha384", "512": "sha512"}


class Key:
    """One key. ``key_id`` and ``algorithm`` are empty where the set does not say them."""

    __slots__ = ("algorithm", "key_id")

    def __init__(self, members: dict[str, Any]) -> None:
        key_id, algorithm = members.get("kid"), members.get("alg")
        self.key_id: str = key_id if isinstance(key_id, str) else ""
        self.algorithm: str = algorithm if isinstance(algorithm, str) else ""

    def fits(self, token: Token) -> bool:
        """Whether the token may mean it: of what is said of both, nothing differs."""
        if token.key_id and self.key_id and token.key_id != self.key_id:
            return False
        return not self.algorithm or self.algorithm == token.algorithm

    def verify(self, token: Token) -> str:
        """Why the token is not signed by it; empty: it is."""
        raise NotImplementedError


class RsaKey(Key):
    """For ``RS*`` and ``PS*``."""

    __slots__ = ("_key", "_schemes")

    def __init__(self, members: dict[str, Any]) -> None:
        from cryptography.hazmat.primitives import hashes  # heavy, and of no use to who has no tokens
        from cryptography.hazmat.primitives.asymmetric import padding
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

        super().__init__(members)
        if self.algorithm[:2] not in ("", "RS", "PS"):
            raise ValueError("a key of RSA for another algorithm")
        exponent = _number(members, "e")
        if exponent not in _EXPONENTS:
            raise ValueError("no exponent that anybody uses")
        self._key: Any = RSAPublicNumbers(exponent, _number(members, "n")).public_key()
        self._schemes: dict[str, tuple[Any, Any]] = {}
        for size, digest in (("256", hashes.SHA256()), ("384", hashes.SHA384()), ("512", hashes.SHA512())):
            self._schemes["RS" + size] = (padding.PKCS1v15(), digest)
            self._schemes["PS" + size] = (padding.PSS(padding.MGF1(digest), padding.PSS.AUTO), digest)

    def verify(self, token: Token) -> str:
        """See :class:`Key`."""
        scheme = self._schemes.get(token.algorithm)
        if scheme is None:
            return statuses.WRONG_SIGNATURE
        return _outcome(self._key.verify, (token.signature, token.signed, scheme[0], scheme[1]))


class EcKey(Key):
    """For the ``ES*`` of its curve."""

    __slots__ = ("_curve_algorithm", "_key", "_scheme", "_size")

    def __init__(self, members: dict[str, Any]) -> None:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        super().__init__(members)
        curve = members.get("crv") or _OF_ALGORITHM.get(self.algorithm) or ("" if self.algorithm else "P-256")
        if curve not in _CURVES:
            raise ValueError("not a curve for tokens")
        self._curve_algorithm, self._size = _CURVES[curve]
        if self.algorithm not in ("", self._curve_algorithm):
            raise ValueError("a key of this curve for another algorithm")
        curves: dict[str, Any] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}
        digests: dict[str, Any] = {"P-256": hashes.SHA256, "P-384": hashes.SHA384, "P-521": hashes.SHA512}
        numbers = ec.EllipticCurvePublicNumbers(_number(members, "x"), _number(members, "y"), curves[curve]())
        self._key: Any = numbers.public_key()
        self._scheme: Any = ec.ECDSA(digests[curve]())

    def verify(self, token: Token) -> str:
        """See :class:`Key`."""
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        size = self._size
        if token.algorithm != self._curve_algorithm or len(token.signature) != 2 * size:
            return statuses.WRONG_SIGNATURE
        r, s = int.from_bytes(token.signature[:size], "big"), int.from_bytes(token.signature[size:], "big")
        return _outcome(self._key.verify, (encode_dss_signature(r, s), token.signed, self._scheme))


class EdKey(Key):
    """Of Ed25519, for ``EdDSA``."""

    __slots__ = ("_key",)

    def __init__(self, members: dict[str, Any]) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        super().__init__(members)
        if self.algorithm not in ("", "EdDSA") or members.get("crv") != _ED25519:
            raise ValueError("not for EdDSA on this curve")
        self._key: Any = Ed25519PublicKey.from_public_bytes(_bytes(members, "x"))

    def verify(self, token: Token) -> str:
        """See :class:`Key`. A signature of another length ends the search for a key, as Envoy's does."""
        if len(token.signature) != _SIGNATURE:
            return statuses.WRONG_LENGTH
        if token.algorithm != "EdDSA":
            return statuses.WRONG_SIGNATURE
        return _outcome(self._key.verify, (token.signature, token.signed))


class SecretKey(Key):
    """A secret that is shared with the issuer, for ``HS*``."""

    __slots__ = ("_secret",)

    def __init__(self, members: dict[str, Any]) -> None:
        super().__init__(members)
        if self.algorithm[:2] not in ("", "HS"):
            raise ValueError("a secret for another algorithm")
        self._secret: bytes = _bytes(members, "k")
        if not self._secret:
            raise ValueError("an empty secret")

    def verify(self, token: Token) -> str:
        """See :class:`Key`."""
        if token.algorithm[:2] != "HS":
            return statuses.WRONG_SIGNATURE
        expected = hmac.digest(self._secret, token.signed, _DIGESTS[token.algorithm[2:]])
        return "" if hmac.compare_digest(expected, token.signature) else statuses.WRONG_SIGNATURE


KINDS: Final[dict[str, type[Key]]] = {"RSA": RsaKey, "EC": EcKey, "OKP": EdKey, "oct": SecretKey}


class KeySet:
    """The keys of one issuer that can be used."""

    __slots__ = ("_keys",)

    def __init__(self, keys: list[Key]) -> None:
        self._keys = keys

    @property
    def empty(self) -> bool:
        """Whether no token can be verified."""
        return not self._keys

    def verify(self, token: Token) -> str:
        """Why none of the keys has signed the token; empty: one has."""
        if not self._keys:
            return statuses.NO_KEYS_YET
        why = statuses.NO_SUCH_KEY
        for key in self._keys:
            if key.fits(token):
                why = key.verify(token)
                if not why or why == statuses.WRONG_LENGTH:
                    return why
        return why


@lru_cache(maxsize=64)
def key_set(text: str) -> KeySet:
    """The keys of a set (JSON), without those that cannot be used; a text that is no set has none. Kept, for a configuration
    is made anew more often than its keys are others."""
    found = members(text.encode())
    entries = None if found is None else found.get("keys")
    if not isinstance(entries, list):
        return KeySet(_of_certificates(found or {}))
    return KeySet([key for key in map(_key, entries) if key is not None])


def _key(entry: object) -> Key | None:
    kind = KINDS.get(str(entry.get("kty"))) if isinstance(entry, dict) else None
    if kind is None or not isinstance(entry, dict):
        return None
    try:
        return kind(entry)
    except (ValueError, TypeError):
        return None


def _of_certificates(entries: dict[str, Any]) -> list[Key]:
    """Keys of RSA in certificates by their names, as Google's own issuers give them; one that is bad makes all of them so."""
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    keys: list[Key] = []
    for name, text in entries.items():
        if not name or not isinstance(text, str):
            return []
        try:
            public = x509.load_pem_x509_certificate(text.encode()).public_key()
        except ValueError:
            return []
        if not isinstance(public, RSAPublicKey):
            return []
        numbers = public.public_numbers()
        keys.append(RsaKey({"kid": name, "n": _text(numbers.n), "e": _text(numbers.e)}))
    return keys


def _bytes(members: dict[str, Any], name: str) -> bytes:
    value = members.get(name)
    found = base64url(value.rstrip("=").encode()) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{name} is not in base64url")
    return found


def _number(members: dict[str, Any], name: str) -> int:
    return int.from_bytes(_bytes(members, name), "big")


def _text(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes((number.bit_length() + 7) // 8, "big")).decode()


def _outcome(verify: Any, arguments: tuple[Any, ...]) -> str:
    """What a verification came to that says no by an exception."""
    from cryptography.exceptions import InvalidSignature

    try:
        verify(*arguments)
    except (InvalidSignature, ValueError):
        return statuses.WRONG_SIGNATURE
    return ""
