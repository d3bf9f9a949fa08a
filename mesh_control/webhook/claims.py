"""Which roots the replicas of a control plane may answer the API server with. Pure.

Every replica has an authority of its own unless they were given one together, and roots that come and go at other times than
those of the rest. So each says in an annotation of the ValidatingWebhookConfiguration which roots its answers may need, and
says it again before that has run out: a root of a replica that is gone is kept no longer than :data:`GOOD_SECONDS`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mesh_policy import json_text

PREFIX = "roots.meshwright.io/"
"""Of the annotations; the rest is made of a replica's name, which may be longer than names of annotations are."""
GOOD_SECONDS = 3600.0
"""How long a claim is good, by the time of day: clocks of replicas may differ by half of it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a replica said: fingerprints of roots, and until when (seconds since 1970) that is good."""

    replica: str
    roots: frozenset[str]
    until: float


def place_of(replica: str) -> str:
    """The annotation of a replica."""
    return PREFIX + hashlib.sha256(replica.encode()).hexdigest()[:40]


def fingerprint(root: str) -> str:
    """By which a root (PEM) is known in a claim: SHA-256 of the text."""
    return hashlib.sha256(root.encode()).hexdigest()


def read(configuration: Mapping[str, Any]) -> dict[str, Claim | None]:
    """The claims of an object by their annotations; ``None`` for one that cannot be read."""
    annotations = (configuration.get("metadata") or {}).get("annotations") or {}
    return {place: _claim(text) for place, text in annotations.items() if place.startswith(PREFIX)}


def write(claim: Claim) -> str:
    """The annotation's text."""
    return json.dumps({"replica": claim.replica, "roots": sorted(claim.roots), "until": round(claim.until)})


def renewed(former: Claim | None, replica: str, roots: Iterable[str], now: float) -> Claim | None:
    """What a replica is to say of its roots (PEM); ``None``: ``former`` says it, and will for a while."""
    wanted = frozenset(map(fingerprint, roots))
    if former is not None and former.roots == wanted and former.until - now > GOOD_SECONDS / 2:
        return None
    return Claim(replica, wanted, now + GOOD_SECONDS)


def is_good(claim: Claim | None, now: float) -> bool:
    """Whether the roots of a claim are to be kept."""
    return claim is not None and claim.until > now


def _claim(text: object) -> Claim | None:
    try:
        value = json_text.parse(str(text))
        roots = frozenset(str(root) for root in value["roots"])
        return Claim(str(value["replica"]), roots, float(value["until"]))
    except (ValueError, KeyError, TypeError):
        return None
