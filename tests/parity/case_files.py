"""The cases: files of YAML below ``cases/``, one folder for each feature.

A file is a configuration in Envoy's own words and the conversations that are held with whoever runs it. It says nothing about
what comes of them: what the real Envoy does is expected. Where ours does something else, the file says what, and why.

README.md beside the folders describes the form.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support import signed_tokens

CASES = Path(__file__).parent / "cases"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where there is one: it takes a tenth of the time."""

_OF_A_FILE = frozenset(
    {"about", "config", "cases", "servers", "answer", "protocol", "refused", "requests", "anonymous"}
    | {"differs", "faults", "chance", "stricter", "tokens"}
)
_CONVERSATIONS = ("ask", "raw", "talk")
_OF_A_CASE = frozenset({*_CONVERSATIONS, "answers", "servers", "answer", "protocol", "tls", "requests", "stats"})
_OF_A_VERDICT = frozenset({"what", "reason", "cases"})
_VERDICTS = ("differs", "faults", "chance", "stricter")
_OF_A_CONFIG = frozenset(
    {
        "routes",
        "virtual_hosts",
        "table",
        "manager",
        "filters",
        "router",
        "chain",
        "listener",
        "tcp",
        "clusters",
        "chains",
        "secrets",
    }
)


class CaseError(ValueError):
    """A file that is no file of cases; the message names the place."""


@dataclass(frozen=True, slots=True)
class Case:
    """One conversation. ``kind`` is how it is held, ``said`` what is said; ``servers`` are the answers of each server.

    ``requests``: so many must have reached servers before the case is over (for copies, which nobody waits for).
    By names of an outcome (``*`` stands for anything) to reasons: ``differs`` on purpose; ``faults``, which should not be;
    ``chance``, which depends on the moment and is not compared. ``stricter``: why ours refuses what Envoy takes.
    """

    name: str
    kind: str
    said: Any
    protocol: str = "http1"
    answers: int = 1
    servers: Mapping[str, list[Any]] = field(default_factory=dict)
    tls: Mapping[str, Any] | None = None
    requests: int = 0
    patience: float = 5.0
    """Seconds that nothing is waited for longer."""
    stats: tuple[str, ...] = ()
    differs: Mapping[str, str] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    chance: Mapping[str, str] = field(default_factory=dict)
    stricter: str = ""


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The cases that share a configuration. ``refused``: why ours does not take that configuration (yet).

    ``anonymous``: which of several servers is asked first is chance; they are called by their order.
    """

    folder: str
    name: str
    about: str
    config: Mapping[str, Any]
    cases: tuple[Case, ...]
    refused: str = ""
    anonymous: bool = False

    @property
    def key(self) -> str:
        """Its listener's name, and that of its statistics."""
        return f"{self.folder}-{self.name}".replace("/", "-")


def features() -> list[str]:
    """The folders."""
    return sorted(str(path.parent.relative_to(CASES)) for path in {p.parent / "x" for p in CASES.rglob("*.yaml")})


def read_all() -> list[CaseFile]:
    """Every file, with tokens that are made now. Raises :class:`CaseError`."""
    return [file for folder in features() for file in of_feature(folder)]


def of_feature(folder: str) -> list[CaseFile]:
    """The files of a folder. Raises :class:`CaseError`."""
    return [read(path) for path in sorted((CASES / folder).glob("*.yaml"))]


def read(path: Path) -> CaseFile:
    """One file. Raises :class:`CaseError`."""
    return parsed(yaml.load(path.read_text("utf-8"), LOADER), str(path.parent.relative_to(CASES)), path.stem)


def parsed(document: Any, folder: str, name: str) -> CaseFile:
    """A document of cases. Raises :class:`CaseError`."""
    place = f"{folder}/{name}"
    _known(document, _OF_A_FILE, place)
    _known(document.get("config", {}), _OF_A_CONFIG, f"{place}: config")
    if not document.get("about") or not document.get("cases"):
        raise CaseError(f"{place}: about and cases must be there")
    for verdict in (one for kind in _VERDICTS for one in document.get(kind, ())):
        _known(verdict, _OF_A_VERDICT, place)
        strange = sorted({*verdict.get("cases", ())} - document["cases"].keys())
        if strange or not verdict.get("what") or not verdict.get("reason"):
            raise CaseError(f"{place}: {verdict}: what, reason, and names of cases, but for {strange}")
    spoken = document["cases"]
    if "tokens" in document:
        spoken = signed_tokens.filled(spoken, document["tokens"])
    cases = tuple(_case(f"{place}: {key}", str(key), value, document) for key, value in spoken.items())
    return CaseFile(
        folder,
        name,
        document["about"],
        document.get("config", {}),
        cases,
        document.get("refused", ""),
        document.get("anonymous", False),
    )


def _case(place: str, name: str, value: Any, document: Mapping[str, Any]) -> Case:
    if isinstance(value, str):
        value = {"ask": value}
    _known(value, _OF_A_CASE, place)
    kinds = [kind for kind in _CONVERSATIONS if kind in value]
    if len(kinds) != 1:
        raise CaseError(f"{place}: one of {', '.join(_CONVERSATIONS)} must be there")
    servers: dict[str, list[Any]] = {}
    for part in (document, value):
        if "answer" in part:
            servers = {"": _listed(part["answer"])}
        servers |= {server: _listed(answers) for server, answers in part.get("servers", {}).items()}
    differs, faults, chance, stricter = (_verdicts(document.get(kind, ()), name) for kind in _VERDICTS)
    return Case(
        name,
        kinds[0],
        value[kinds[0]],
        value.get("protocol", document.get("protocol", "http1")),
        value.get("answers", 1),
        servers,
        value.get("tls"),
        value.get("requests", document.get("requests", 0)),
        stats=tuple(value.get("stats", ())),
        differs=differs,
        faults=faults,
        chance=chance,
        stricter=stricter.get("status", ""),
    )


def _verdicts(listed: Any, case: str) -> dict[str, str]:
    """What a file says about one of its cases; without ``cases`` it speaks of all."""
    return {one["what"]: one["reason"] for one in listed if case in one.get("cases", (case,))}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _known(value: Any, names: frozenset[str], place: str) -> None:
    if not isinstance(value, Mapping):
        raise CaseError(f"{place}: expected a mapping, found {value!r}")
    unknown = sorted(map(str, value.keys() - names))
    if unknown:
        raise CaseError(f"{place}: {', '.join(unknown)}: not known here")
