"""What is shown of configuration, without secrets: as Envoy's ``/config_dump``, which writes ``[redacted]`` in their place.

Whoever may see what is in force need not be able to sign a token with it.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from mesh_api.config.tokens import SECRET_MEMBERS
from mesh_policy import json_text

REDACTED: Final = "[redacted]"
KEPT_FORM: Final = "redacted"
"""The same where what is shown must still be a set of keys: base64url, as of a key."""
_OF_SECRETS = frozenset({"data", "stringData"})
_FIELDS = frozenset({"private_key", "privateKey", "password"})
_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key"})
"""Of fields that requests are given: ``{"key": "authorization", "value": ...}``."""


def redacted(value: Any, mark: str = REDACTED) -> Any:
    """Plain values without private and symmetric keys, also inside texts that are JSON (``jwks``, and the whole object that
    ``kubectl`` puts into an annotation), and without a Secret's data."""
    if isinstance(value, Mapping):
        return {name: mark if _is_secret(value, name) else redacted(item, mark) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, mark) for item in value]
    return _text(value, mark) if isinstance(value, str) else value


def _is_secret(around: Mapping[str, Any], name: str) -> bool:
    if name in SECRET_MEMBERS:
        return isinstance(around.get("kty"), str)
    if name in _OF_SECRETS:
        return around.get("kind") == "Secret"
    if name == "value":
        return str(around.get("key", "")).lower() in _HEADERS
    return name in _FIELDS and not _is_file(around[name])


def _is_file(value: Any) -> bool:
    """Whether it says where a key is, rather than what it is."""
    if isinstance(value, Mapping):
        return set(value) <= {"filename", "watched_directory"}
    return isinstance(value, str) and value.startswith("/")


def _text(text: str, mark: str) -> str:
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        value = json_text.parse(text)
    except ValueError:
        return text
    shown = redacted(value, mark)
    return text if shown == value else json.dumps(shown)
