"""Why a token does not do, in Envoy's words: what the client and the access log are told. An empty one: it does."""

from typing import Final

VALID: Final = ""
MISSING: Final = "Jwt is missing"
EARLY: Final = "Jwt not yet valid"
EXPIRED: Final = "Jwt is expired"
BAD_FORMAT: Final = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
HEADER_BASE64: Final = "Jwt header is an invalid Base64url encoded"
HEADER_JSON: Final = "Jwt header is an invalid JSON"
BAD_ALGORITHM: Final = "Jwt header [alg] field is required and must be a string"
UNKNOWN_ALGORITHM: Final = "Jwt header [alg] is not supported"
BAD_KEY_ID: Final = "Jwt header [kid] field is not a string"
PAYLOAD_BASE64: Final = "Jwt payload is an invalid Base64url encoded"
PAYLOAD_JSON: Final = "Jwt payload is an invalid JSON"
SIGNATURE_BASE64: Final = "Jwt signature is an invalid Base64url encoded"
BAD_AUDIENCES: Final = "Jwt payload [aud] field is not a string or string list"
UNKNOWN_ISSUER: Final = "Jwt issuer is not configured"
WRONG_AUDIENCE: Final = "Audiences in Jwt are not allowed"
WRONG_SIGNATURE: Final = "Jwt verification fails"
WRONG_LENGTH: Final = "Jwt ED25519 signature is wrong length"
NO_KEYS: Final = "Jwks doesn't have any valid public key"
NO_KEYS_YET: Final = "Jwks remote fetch is failed"
NO_SUCH_KEY: Final = "Jwks doesn't have key to match kid or alg from Jwt"


def not_text(claim: str) -> str:
    """The claim is no text."""
    return f"Jwt payload [{claim}] field is not a string"


def not_time(claim: str) -> str:
    """The claim is no number."""
    return f"Jwt payload [{claim}] field is not an integer"


def no_such_time(claim: str) -> str:
    """The claim is a number that cannot be a time."""
    return f"Jwt payload [{claim}] field is not a positive 64 bit integer"


def http_status(why: str) -> int:
    """The status that a request is refused with."""
    return 403 if why == WRONG_AUDIENCE else 401


def rank(why: str) -> int:
    """Of several reasons why nothing did, those say most that are about a token which was meant; the last of these counts."""
    if why == MISSING:
        return 0
    return 1 if why == UNKNOWN_ISSUER else 2
