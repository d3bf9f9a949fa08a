"""Random choices of one seed, for worlds that are made by it alone."""

import random
from collections.abc import Sequence
from typing import Any


class Dice:
    """Random choices of one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def maybe(self, share: float = 0.5) -> bool:
        return self.random.random() < share

    def one(self, values: Sequence[Any]) -> Any:
        return self.random.choice(values)

    def some(self, values: Sequence[Any], least: int = 1, most: int = 3) -> list[Any]:
        return self.random.sample(values, self.random.randint(least, min(most, len(values))))

    def fields(self, share: float, **makers: Any) -> dict[str, Any]:
        """Some of the fields; a value that can be called is made."""
        return {name: make() if callable(make) else make for name, make in makers.items() if self.maybe(share)}
