"""What Envoy has and ``xds-protos`` has not yet."""

import importlib
import subprocess
import sys

import pytest
from google.protobuf import json_format

from mesh_api.xds.newer_fields import NEWER, NewerField

ROWS = [(module, field) for module, fields in NEWER.items() for field in fields]


def message(module: str, field: NewerField) -> type:
    found = importlib.import_module(module)
    for name in field.message.split("."):
        found = getattr(found, name)
    return found  # type: ignore[return-value]


@pytest.mark.parametrize(("module", "field"), ROWS)
def test_they_are_fields_like_others(module: str, field: NewerField) -> None:
    made = message(module, field)()
    value = "2.500s" if field.type_name else True
    json_format.ParseDict({field.name: value}, made)
    again = type(made).FromString(made.SerializeToString())
    assert json_format.MessageToDict(again, preserving_proto_field_name=True) == {field.name: value}
    assert made.DESCRIPTOR.fields_by_name[field.name].number == field.number


@pytest.mark.parametrize(("module", "field"), ROWS)
def test_each_is_still_wanted(module: str, field: NewerField) -> None:
    """Fails once ``xds-protos`` has the field: then it goes from the table."""
    asked = f"import {module} as found; print(found.{field.message}.DESCRIPTOR.fields_by_number.get({field.number}))"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout == "None\n"


def test_a_message_that_was_imported_before_is_told() -> None:
    module = next(iter(NEWER))
    told = subprocess.run(
        [sys.executable, "-c", f"import {module}, mesh_api.xds"], capture_output=True, text=True, check=False
    )
    assert "import mesh_api.xds first" in told.stderr
