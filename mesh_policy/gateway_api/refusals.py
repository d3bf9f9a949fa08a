"""Refusals that name the field they are about: what the rules of a definition between fields come to."""

from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Path = tuple[str | int, ...]
Refusal = tuple[Path, str]
"""A field, by its path in YAML's names from where the rule stands, and what is wrong and how to mend it."""


def refuse(value: object, refusals: Iterable[Refusal]) -> None:
    """Raises :func:`refused` with all refusals, if any."""
    found = list(refusals)
    if found:
        raise refused(value, found)


def refused(value: object, refusals: Iterable[Refusal]) -> ValidationError:
    """The error that holds the refusals; raised inside a validator, pydantic adds the path to here."""
    details = [
        InitErrorDetails(type=PydanticCustomError("rule", "{message}", {"message": message}), loc=path, input=value)
        for path, message in refusals
    ]
    return ValidationError.from_exception_data(type(value).__name__, details)


def twice(keys: Iterable[object]) -> Iterable[tuple[int, object]]:
    """Places and values of what stands there a second time."""
    seen: set[object] = set()
    for place, key in enumerate(keys):
        if key in seen:
            yield place, key
        seen.add(key)
