"""What a scenario saw."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mesh_cli.scenarios.client import Client


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that must be seen, what was seen, and whether it is so."""

    what: str
    seen: str
    met: bool


@dataclass(slots=True)
class Report:
    """The expectations of one scenario in the order in which they were looked at."""

    scenario: str
    expectations: list[Expectation] = field(default_factory=list)

    def expect(self, what: str, seen: object, met: bool) -> None:
        """Note one expectation."""
        self.expectations.append(Expectation(what, str(seen), met))

    @property
    def met(self) -> bool:
        """Whether everything was seen that must be seen."""
        return bool(self.expectations) and all(item.met for item in self.expectations)


Say = Callable[[str], None]
Scenario = Callable[[Client, Say], Awaitable[Report]]
