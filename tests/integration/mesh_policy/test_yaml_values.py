"""What a text without quotes is: the same as Kubernetes' own code reads."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from mesh_policy import positions
from tests.support import verdicts
from tests.unit.mesh_policy.test_yaml_scalars import NO_VALUES, TEXTS

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]  # the program's first build

LETTERS = "0123456789" * 2 + "__++--..eExXoObBfaAnNyYtT~"
COUNT = 20_000
"""Texts at random."""


def texts() -> list[str]:
    rng = random.Random(1)
    made = {"".join(rng.choice(LETTERS) for _ in range(rng.randint(1, 7))) for _ in range(COUNT)}
    return sorted({*TEXTS, *NO_VALUES, *made} - {"-", "<<"})


def same(ours: Any, theirs: Any) -> bool:
    """Equal and of one kind; JSON has one kind of numbers, and none that is infinite or no number."""
    if isinstance(ours, float) and not math.isfinite(ours):
        return theirs is None
    found = theirs["a"]
    if type(ours) is float and type(found) is int:
        found = float(found)  # Go writes 1e2 as 100, and 2**63 with zeros at its end
    return type(ours) is type(found) and bool(ours == found)


def test_texts_without_quotes(verdicts_program: Path) -> None:
    made = [f"a: {text}\n" for text in texts()]
    theirs = verdicts.values(verdicts_program, made)
    ours = [next(positions.documents(text, "f")).value["a"] for text in made]
    pairs = zip(made, ours, theirs, strict=True)
    assert [(text, mine, json.dumps(other)) for text, mine, other in pairs if not same(mine, other)] == []
