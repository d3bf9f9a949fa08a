"""Objects at random from the schema of a CustomResourceDefinition: mostly right, and wrong in one place now and then.

Texts come from one pool for all fields, in which each pattern finds some that fit; so a wrong text is one that is right
elsewhere.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

TEXTS = (
    "", "a", "b", "istio", "a.b", "www.example.com", "*.example.com", "*.com", "*", "*a.com", "A", "Service", "Secret",
    "Gateway", "x-user", "X-User", "a_b", "a b", "a  b", "a\n", "é", "/", "/a", "/a/b", "/a//b", "/./a", "/a/.", "/a/../b",
    "/a/..", "/%2f", "/%2F", "/a%20b", "/a%2", "/#a", "a/b", "//", "10.0.0.1", "10.0.0.01", "::1", "fe80::1%eth0", "1.2.3",
    "::ffff:1.2.3.4", "0s", "10s", "1h30m", "500ms", "1m60s", "1.5s", "100000s", "1h1h1h1h1h", "5", "s", "IPAddress",
    "Hostname", "NamedAddress", "IPAddressX", "Hostnames", "example.com/foo", "Example.com/foo", "HTTP", "HTTPS", "TLS",
    "TCP", "UDP", "http", "TlS-1", "gateway.networking.k8s.io", "core.example.com", "https://a.com", "https://*.a.com:8443",
    "http://*", "ftp://a", "https://a.com/", "GET", "In", "Exists", "^a.*", "(a", "a" * 63, "a" * 64, "a" * 253, "a" * 254,
    "-a", "a-", "a..b", ".a", "foo/bar", "foo.bar/baz-1", "Foo/bar", "foo.Bar", ".foo", "foo bar/", "1a", "x" * 1025,
)  # fmt: skip
RARE = 25
"""One in so many choices is a wrong one."""


@st.composite
def documents(draw: st.DrawFn, definition: dict[str, Any], version: str) -> dict[str, Any]:
    """An object of that version of a definition."""
    (schema,) = (v["schema"]["openAPIV3Schema"] for v in definition["spec"]["versions"] if v["name"] == version)
    metadata = {"name": "a"} | ({"namespace": "default"} if definition["spec"]["scope"] == "Namespaced" else {})
    return {
        "apiVersion": f"{definition['spec']['group']}/{version}",
        "kind": definition["spec"]["names"]["kind"],
        "metadata": metadata,
        "spec": _value(draw, schema["properties"]["spec"], "spec"),
    }


@st.composite
def changed(draw: st.DrawFn, document: dict[str, Any]) -> dict[str, Any]:
    """The object with one thing in its specification left out, put twice, or made another."""
    copied: dict[str, Any] = json.loads(json.dumps(document))
    holders = list(_holders(copied["spec"])) or [copied]
    holder = draw(st.sampled_from(holders))
    key = draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
    what = draw(st.sampled_from(["drop", "twice", "text", "odd", "other"]))
    if what == "drop":
        del holder[key]
    elif what == "twice" and isinstance(holder, list):
        holder.append(holder[key])
    elif what == "text":
        holder[key] = draw(st.sampled_from(TEXTS))
    elif what == "other":
        other = draw(st.sampled_from(holders))
        holder[key] = json.loads(json.dumps(draw(st.sampled_from([*_values(other)]))))
    else:
        holder[key] = draw(st.sampled_from([True, 0, 1, 65536, -1, [], {}, [{}], 1.5]))
    return copied


def _values(holder: dict[str, Any] | list[Any]) -> list[Any]:
    return list(holder.values()) if isinstance(holder, dict) else holder


def _holders(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Every map and list that holds something."""
    if isinstance(value, dict | list) and value:
        yield value
        for inner in _values(value):
            yield from _holders(inner)


def _odds(draw: st.DrawFn, one_in: int) -> bool:
    return draw(st.integers(0, one_in - 1)) == one_in // 2  # in the middle: hypothesis likes both ends


def _value(draw: st.DrawFn, schema: dict[str, Any], name: str) -> Any:
    if _odds(draw, RARE * 8):
        return draw(st.sampled_from([True, 1, "a", [], {}, 1.5]))
    match schema["type"]:
        case "object":
            return _object(draw, schema, name)
        case "array":
            return _array(draw, schema, name)
        case "string":
            return _text(draw, schema)
        case "integer":
            return _number(draw, schema)
        case "boolean":
            return draw(st.booleans())
        case "number":
            return draw(st.floats(0, 100))
    raise AssertionError(schema)


def _text(draw: st.DrawFn, schema: dict[str, Any]) -> str:
    if _odds(draw, RARE * 2):
        return draw(st.sampled_from(TEXTS))
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    least, most, pattern = schema.get("minLength", 0), schema.get("maxLength", 2000), schema.get("pattern", "")
    return draw(st.sampled_from([t for t in TEXTS if least <= len(t) <= most and re.search(pattern, t)]))


def _number(draw: st.DrawFn, schema: dict[str, Any]) -> int:
    least, most = schema.get("minimum", -5), schema.get("maximum", 2**31 - 1)
    if _odds(draw, RARE * 2):
        return draw(st.sampled_from([least - 1, most + 1, 0, -1, 2**31, 2**40]))
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    return draw(st.sampled_from([least, min(least + 1, most), min(least + 2, most), most]))


def _array(draw: st.DrawFn, schema: dict[str, Any], name: str) -> list[Any]:
    least, most = schema.get("minItems", 0), schema.get("maxItems", 1000)
    count = least + draw(st.sampled_from([0, 1, 1, 1, 2, 3]))
    if not _odds(draw, RARE):
        count = min(count, most)
    return [_value(draw, schema["items"], name) for _ in range(max(count - (_odds(draw, RARE) and least > 0), 0))]


def _object(draw: st.DrawFn, schema: dict[str, Any], name: str) -> dict[str, Any]:
    if "additionalProperties" in schema:
        known = [text for text in TEXTS if len(text) <= 1000]  # YAML has no longer keys
        keys = draw(st.lists(st.sampled_from(known), max_size=3, unique=True))
        return {key: _value(draw, schema["additionalProperties"], key) for key in keys}
    properties: dict[str, Any] = schema.get("properties", {})
    required = schema.get("required", ())
    tags = _tags(properties)
    tag = draw(st.sampled_from(sorted(tags))) if tags else ""
    made: dict[str, Any] = {}
    for field, inner in properties.items():
        if field in tags.values():
            wanted = tags[tag] == field
            present = wanted != _odds(draw, RARE * 4)
        elif field == "type" and tag and not _odds(draw, RARE * 2):
            made[field] = tag
            continue
        else:
            present = not _odds(draw, RARE * 4) if field in required or field == "port" else _odds(draw, 3)
        if present:
            made[field] = _value(draw, inner, field)
    if _odds(draw, RARE * 8):
        made[draw(st.sampled_from([f"{name}s", "x", "Type"]))] = draw(st.sampled_from([1, "a", None]))
    return made


def _tags(properties: dict[str, Any]) -> dict[str, str]:
    """Types that have a field of their name, and that field."""
    fields = {field.lower(): field for field in properties}
    types = properties.get("type", {}).get("enum", ())
    return {value: fields[value.lower()] for value in types if value.lower() in fields}
