"""Our reading of CEL against cel-go's, through Istio's webhook: one verdict."""

import random
from collections.abc import Iterator

import pytest

from mesh_policy.telemetry.cel import check_expression
from tests.support import verdicts
from tests.support.cel_rows import DEPTHS, NESTED, RIGHT, WRONG

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]  # the program's first build
CHANGES = 1500


def disagreement(istio: verdicts.Verdicts, expression: str) -> str:
    spec = {"accessLogging": [{"filter": {"expression": expression}}]}
    kind = {"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": {"name": "a"}, "spec": spec}
    theirs, ours = istio.of(kind).webhook, None
    try:
        check_expression(expression)
    except ValueError as error:
        ours = str(error)
    return "" if (theirs is None) == (ours is None) else f"{expression!r}\n  cel-go: {theirs}\n  we: {ours}"


def changed(rng: random.Random) -> str:
    """Parts of two rows after each other, perhaps without a character in the middle."""
    first, second = rng.choice(RIGHT + WRONG), rng.choice(RIGHT)
    cut, at = rng.randrange(len(first) + 1), rng.randrange(len(second) + 1)
    return first[:cut] + rng.choice(("", second, second[at:], second[:at])) + first[cut + rng.randrange(2) :]


def expressions() -> Iterator[str]:
    yield from RIGHT + WRONG
    yield from (before * n + middle + after * n for n in DEPTHS for before, middle, after in NESTED)
    rng = random.Random(1)
    yield from (changed(rng) for _ in range(CHANGES))


def test_expressions(istio_verdicts: verdicts.Verdicts) -> None:
    assert next(filter(None, (disagreement(istio_verdicts, text) for text in expressions())), "") == ""
