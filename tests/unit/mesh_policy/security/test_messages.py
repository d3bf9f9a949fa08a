"""Kinds of ``security.istio.io``: what is wrong is named with its field and its mend. Verdicts: ``tests/data/security``."""

from typing import Any

import pytest

from mesh_policy import PolicyError, load_documents
from mesh_policy.security.key_sets import check_key_set, private_keys
from mesh_policy.yaml_text import written

ROWS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("AuthorizationPolicy", {"action": "DENY"}, "spec", "DENY without rules is never triggered"),
    (
        "AuthorizationPolicy",
        {"rules": [{"from": [{"source": {"ipBlocks": ["10.0.0"]}}]}]},
        "spec.rules[0].from[0].source.ipBlocks[0]",
        "is no IP address or range; write for example 10.1.2.3",
    ),
    (
        "AuthorizationPolicy",
        {"rules": [{"to": [{"operation": {"path": ["/a"]}}]}]},
        "spec.rules[0].to[0].operation.path",
        "did you mean paths?",
    ),
    (
        "AuthorizationPolicy",
        {"rules": [{"when": [{"key": "source.addr", "values": ["a"]}]}]},
        "spec.rules[0].when[0]",
        "there is no such attribute; allowed are source.ip",
    ),
    (
        "AuthorizationPolicy",
        {"rules": [{"to": [{"operation": {"ports": [80]}}]}]},
        "spec.rules[0].to[0].operation.ports[0]",
        "put it in quotes",
    ),
    ("PeerAuthentication", {"portLevelMtls": {"80": {"mode": "STRICT"}}}, "spec", "selector"),
    ("RequestAuthentication", {"jwtRules": [{}]}, "spec.jwtRules[0]", "issuer is required"),
    (
        "RequestAuthentication",
        {"jwtRules": [{"issuer": "a", "jwks": "{"}]},
        "spec.jwtRules[0].jwks",
        "is no JSON",
    ),
    (
        "RequestAuthentication",
        {"jwtRules": [{"issuer": "a", "jwks": '{"keys":' + "[" * 200_000}]},
        "spec.jwtRules[0].jwks",
        "is no JSON: values are nested deeper than 64 levels",
    ),
    (
        "RequestAuthentication",
        {"jwtRules": [{"issuer": "a", "jwks": '{"keys":[{"kty":' + "[" * 900 + "]" * 900 + "}]}"}]},
        "spec.jwtRules[0].jwks",
        "is no JSON: values are nested deeper than 64 levels",
    ),
    (
        "RequestAuthentication",
        {"jwtRules": [{"issuer": "a", "jwks": '{"keys":[{"kty":[]}]}'}]},
        "spec.jwtRules[0].jwks",
        "key 0: kty []: known are",
    ),
)


@pytest.mark.parametrize(("kind", "spec", "field", "said"), ROWS, ids=range(len(ROWS)))
def test_the_message_names_field_and_mend(kind: str, spec: dict[str, Any], field: str, said: str) -> None:
    document = {"apiVersion": "security.istio.io/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec}
    with pytest.raises(PolicyError) as error:
        load_documents(written(document))
    (problem,) = error.value.problems
    assert problem.field == field
    assert said in problem.message


def test_private_keys_are_found() -> None:
    keys = '{"keys": [{"kty": "RSA", "n": "sXch", "e": "AQAB"}, {"kty": "oct", "k": "c2VjcmV0"}]}'
    assert check_key_set(keys) == keys
    assert private_keys(keys) == [1]
