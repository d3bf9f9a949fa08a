"""Run by ``test_provider_double``: values of Pulumi's protocol, there and back."""

from collections.abc import Mapping

from kubernetes_provider_double import unknown, values
from pulumi.provider.experimental.property_value import PropertyValue

given = {"a": 1, "b": 1.5, "c": [True, "x", {"d": unknown.UNKNOWN}], "e": {}}
assert values.plain_map({name: values.wrapped(value) for name, value in given.items()}) == given
assert unknown.has_unknown(given)
assert values.plain_map({"a": PropertyValue(None)}) == {}

marks = {
    "data": PropertyValue({"a": PropertyValue("x", is_secret=True), "b": PropertyValue("y")}),
    "list": PropertyValue([PropertyValue("x", is_secret=True)]),
}
made = values.wrapped_map({"data": {"a": "other", "b": "y"}, "list": ["p", "q"], "more": 1}, marks)
inner = made["data"].value
assert isinstance(inner, Mapping)
assert [inner["a"].is_secret, inner["b"].is_secret] == [True, False]
assert made["list"].is_secret
assert not made["more"].contains_secret()
