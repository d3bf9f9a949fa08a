"""Cases of Istio's kinds from ``tests/data``, in a folder for each group, and changes of them at random.

A change puts into a place what stands in the same place of another case, or what stands in a place of that name anywhere,
or an odd value for its kind; so most changed objects are nearly right.
"""

import copy
import random
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILES = {
    file.stem: file
    for group in ("networking", "security", "telemetry")
    for file in sorted((Path(__file__).parents[1] / "data" / group).glob("*.yaml"))
}
KINDS = tuple(FILES)
Document = dict[str, Any]
Path_ = tuple[str, ...]

TEXTS: tuple[Any, ...] = (
    "", "a", "A", "a.b", "a.b.", "a..b", "-a", "a-", "a_b", "a b", "*", "*.", "*.a", "*.b.com", "*a", "*-a.b", "*a*",
    "a.*", "**", "10.0.0.1", "10.0.0.01", "::1", "fe80::1%e", "10.0.0.0/8", "10.0.0.0/33", "10.0.0.0/08", "::/0",
    "10.0.0.1/", "1.2.3", "1", "a.1", "a.99999999999999999999", "x" * 63, "x" * 64, ".".join(["x" * 60] * 5), "ns/a",
    "ns/a.b", "/a", "a/", "./a.b", "*/*", "~/*", "~", "~x/a.b", ".", "default", "mesh", "ns/a/b", "unix://",
    "unix:///a", "unix:///a/", "unix://@a", "é", "a\n", "x,y", "host", "Host", ":authority", ":path", ":x",
    "@request.auth.claims.a", "@request.auth.claims", "@x", "%", "%%", "%A%", "%A", "%A(b)%", "%A()%",
    '%A(["b", "c"])%', '%A(["b")%', "%A(b", "%A(b) %", "%A(b)x%", "a\tb", "\x7f", "(", "a{1001}", "(?i)a", "(?P<n>a)",
    "\\C", "[[:alpha:]]", "\\pL", "x" * 1025, "5xx", "5xx,", "5xx, reset", "503", "299", "cancelled,reset", "SIMPLE",
    "MUTUAL", "ISTIO_MUTUAL", "PASSTHROUGH", "HTTP", "https", "TLS", "tcp", "http_proxy", "HBONE", "0", "0s", "1ms",
    "0.5ms", "1.5ms", "999us", "1s", "1500ms", "-1s", "1h1m1s", "1d", "1", "GET", "get", "OK", "14",
    "configmap://default/a", "configmap://other/a", "configmap://default", "us/*", "us/*/b", "us//b", "us/a/b", "us",
    "topology.kubernetes.io/region", "YQ==", "YQ", "127.0.0.1:80", ":80", "[::]:1", "::1:80", "10.0.0.1:1", "http",
    "STATIC", "outbound_.80_._.a", "outbound_.80_", "outbound_.x_._.a",
)  # fmt: skip
NAMES = tuple(text for text in TEXTS if len(text) <= 1000)
"""Longer keys are no YAML on one line."""
NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 80, 99, 100, 101, 199, 200, 301, 399, 400, 599, 600, 601, 65535, 65536, 2**31 - 1, 2**31, 2**32, 0.5, 0.0001,
    0.00001, 100.5, 65537, 5000011, 5000010,
)  # fmt: skip


@cache
def cases(kind: str) -> tuple[tuple[Document, ...], tuple[Document, ...]]:
    """Specifications that are taken, and those that are refused."""
    accepted, refused = yaml.safe_load(FILES[kind].read_text(encoding="utf-8"))
    return tuple(accepted["accept"]), tuple(refused["refuse"])


def document(kind: str, spec: Document, **metadata: Any) -> Document:
    """An object with that specification."""
    version = "v1beta1" if kind == "ProxyConfig" else "v1"
    return {
        "apiVersion": f"{FILES[kind].parent.name}.istio.io/{version}",
        "kind": kind,
        "metadata": {"name": "a", "namespace": "default", **metadata},
        "spec": spec,
    }


def _walk(value: Any, place: Path_ = ()) -> Iterator[tuple[Path_, Document]]:
    """Every map below a value, with where it stands."""
    if isinstance(value, dict):
        yield place, value
        for key, inner in value.items():
            yield from _walk(inner, (*place, key))
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner, (*place, "[]"))


@cache
def _known(kind: str) -> tuple[dict[Path_, dict[str, list[Any]]], dict[str, list[Any]]]:
    """Values by place, and by name alone."""
    by_place: dict[Path_, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    by_name: dict[str, list[Any]] = defaultdict(list)
    for specs in cases(kind):
        for spec in specs:
            for place, holder in _walk(spec):
                for key, value in holder.items():
                    by_place[place][key].append(value)
                    by_name[key].append(value)
    return by_place, by_name


def change(kind: str, spec: Document, rng: random.Random) -> Document:
    """The specification with one to three changes."""
    changed = copy.deepcopy(spec)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        _change_once(kind, changed, rng)
    return changed


def _change_once(kind: str, spec: Document, rng: random.Random) -> None:
    by_place, by_name = _known(kind)
    place, holder = rng.choice(list(_walk(spec)))
    known = by_place[place]
    key = rng.choice(sorted({*known, *holder})) if known or holder else None
    if key is None:
        return
    match rng.randrange(8):
        case 0:
            holder.pop(key, None)
        case 1 | 2 | 3 if known.get(key):
            holder[key] = copy.deepcopy(rng.choice(known[key]))
        case 4 if by_name.get(key):
            holder[key] = copy.deepcopy(rng.choice(by_name[key]))
        case 5 if isinstance(holder.get(key), dict) and holder[key]:
            _rename(holder[key], rng)
        case _:
            holder[key] = _odd(holder.get(key, (known.get(key) or [""])[0]), rng)


def _rename(values: Document, rng: random.Random) -> None:
    """Another name for an entry: what can be wrong in maps of labels, headers, ports."""
    key = rng.choice(sorted(values))
    values[rng.choice(NAMES)] = values.pop(key)


def _odd(value: Any, rng: random.Random) -> Any:
    if rng.randrange(12) == 0:
        return copy.deepcopy(rng.choice((True, "a", 1, [], {}, [{}], None, 1.5)))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return rng.choice(NUMBERS)
    if isinstance(value, list):
        return _odd_list(copy.deepcopy(value), rng)
    return rng.choice(TEXTS) if isinstance(value, str) else copy.deepcopy(value)


def _odd_list(values: list[Any], rng: random.Random) -> list[Any]:
    if not values:
        return [rng.choice(TEXTS)]
    place = rng.randrange(len(values))
    match rng.randrange(4):
        case 0:
            values.append(copy.deepcopy(values[place]))
        case 1:
            del values[place]
        case 2:
            rng.shuffle(values)
        case _:
            values[place] = _odd(values[place], rng)
    return values
