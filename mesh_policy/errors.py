"""Errors of policy documents."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where it stands (``source:line``, object, field) and what is wrong with it."""

    source: str
    line: int
    subject: str
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        field = f" {self.field}:" if self.field else ""
        return f"{place}: {self.subject}:{field} {self.message}"


class PolicyError(ValueError):
    """Documents that cannot be accepted; the message has one line for each problem."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
