"""Random issuers, and requests with random tokens for them, as case files; of some tokens one letter is another."""

import random
from typing import Any

from tests.parity.case_files import CaseFile, parsed
from tests.support.signed_tokens import USUAL, token

KEYS = ("rsa", "rsa2", "ec256", "ec384", "ed", "oct")
ISSUERS = ("first@example.com", "second@example.com", "third@example.com")
PLACES: tuple[dict[str, Any], ...] = (
    {},
    {"from_headers": [{"name": "x-token"}]},
    {
        "from_headers": [
            {"name": "authorization", "value_prefix": "Bearer "},
            {"name": "x-second", "value_prefix": "T "},
        ]
    },
    {"from_params": ["token", "access_token"]},
    {"from_cookies": ["session"]},
)
CLAIMS = {
    "sub": ("a", "b", "", None, 1),
    "aud": ("people", ["people", "x"], ["x"], [], None, "https://people/", 1),
    "exp": ("now+3600", "now+3600", "now-7200", "now-3600", None, 0, "text", -1, 1.5e300),
    "nbf": (None, None, "now-3600", "now+30", "now+3600", "text"),
    "scope": (None, "read write", "read", ["read"]),
    "groups": (None, "admin", ["admin", "dev"], {"admin": True}),
}
DAMAGED = ", with another letter"
"""At the end of the name of a case with such a token."""
LETTERS = 'abcABC012.-_=+/ ,"%'
FILTER = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def issuers(seed: int, count: int) -> CaseFile:
    """Some issuers in the shape that Istio gives them, and so many requests."""
    dice = random.Random(seed)
    # Which of several providers without an issuer is asked for a token of any is chance in Envoy.
    names = dice.choice((ISSUERS[:1], ("",))) if seed % 3 == 0 else ISSUERS[: seed % 3 + 1]
    providers = {f"origins-{number}": _provider(dice, issuer) for number, issuer in enumerate(names)}
    single: list[Any] = [{"provider_name": name} for name in providers]
    each: list[Any] = [{"requires_any": {"requirements": [one, {"allow_missing": {}}]}} for one in single]
    several = {"requires_any": {"requirements": [*single, {"requires_all": {"requirements": each}}]}}
    config = {
        "@type": FILTER,
        "providers": providers,
        "rules": [{"match": {"prefix": "/"}, "requires": several if len(each) > 1 else each[0]}],
    }
    document = {
        "about": "Random tokens.",
        "config": {"filters": [{"name": "envoy.filters.http.jwt_authn", "typed_config": config}]},
        "cases": dict(_case(dice, number) for number in range(count)),
    }
    return parsed(document, "random", f"tokens{seed}")


def _provider(dice: random.Random, issuer: str) -> dict[str, Any]:
    keys = dice.sample(KEYS, dice.choice((1, 2, 3)))
    # Of a set with a key of Ed25519 Envoy asks no further when a signature has another length.
    keys.sort(key=lambda name: name == "ed")
    return {
        "issuer": issuer,
        "local_jwks": {"inline_string": "$jwks " + " ".join(keys)},
        "audiences": dice.choice(([], [], ["people"])),
        "forward": dice.choice((True, False)),
        "claim_to_headers": [{"header_name": "x-claim-sub", "claim_name": "sub"}],
        "payload_in_metadata": "payload",
        **dice.choice(PLACES),
    }


def _case(dice: random.Random, number: int) -> tuple[str, Any]:
    damage = dice.random() < 0.2
    return f"{number}{DAMAGED if damage else ''}", {"ask": _request(dice, damage)}


def _request(dice: random.Random, damage: bool) -> dict[str, Any]:
    target, headers = "/a", {"x-claim-sub": "root"} if dice.random() < 0.2 else {}
    for _ in range(dice.choice((0, 1, 1, 1, 1, 2))):
        text = _token(dice, damage)
        place = dice.choice(
            ("authorization", "authorization", "x-token", "x-second", "token", "access_token", "cookie")
        )
        if place == "authorization":
            headers[place] = dice.choice(("Bearer ", "Bearer ", "bearer ", "")) + text
        elif place == "cookie":
            headers[place] = f"a=b; session={text}"
        elif place.startswith("x-"):
            headers[place] = ("T " if place == "x-second" else "") + text
        else:
            target = f"/a?{place}={text.replace(' ', '%20')}"
    return {"line": f"GET {target}", "headers": headers}


def _token(dice: random.Random, damage: bool) -> str:
    key = dice.choice(KEYS)
    claims = {"iss": dice.choice(ISSUERS), **{name: dice.choice(values) for name, values in CLAIMS.items()}}
    header = {"kid": dice.choice((key, key, None, "other"))}
    # That another algorithm is named than the key's own is for the cases of jwt/keys, which differ on purpose.
    text = token({"key": key, "alg": USUAL[key], "claims": claims, "header": header})
    if not damage:
        return text
    at = dice.randrange(len(text))
    return text[:at] + dice.choice(LETTERS) + text[at + 1 :]
