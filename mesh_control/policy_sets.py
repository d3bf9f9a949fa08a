"""Sets of policies: each has an owner, is given as YAML, and counts as a whole or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh_control.push import Progress
from mesh_policy import Policy, PolicyError, load_everything
from mesh_policy.load import name_of


class Refused(Exception):  # noqa: N818 (an answer, not a failure of ours)
    """A set of policies was not put in force. ``status`` is the HTTP status, ``lines`` say what is wrong."""

    def __init__(self, status: int, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.status = status
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Applied:
    """A set that is in force: the version of the world, how far each connected proxy is, workloads without a connected
    proxy, and warnings."""

    version: str
    proxies: Mapping[str, Progress]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For the API."""
        return {
            "version": self.version,
            "proxies": {name: {"state": progress.value} for name, progress in self.proxies.items()},
            "missing": list(self.missing),
            "warnings": list(self.warnings),
        }


def parsed(text: str) -> tuple[list[Policy], list[str]]:
    """The policies of a stream of documents, and a warning for each object that is none. Some megabytes take seconds.

    Raises :class:`Refused` for what cannot be read.
    """
    try:
        everything = load_everything([("set", text)])
    except PolicyError as error:
        raise Refused(422, [str(problem) for problem in error.problems]) from None
    passed_over = [f"{other['kind']} {name_of(other)} is no policy and was passed over" for other in everything.others]
    return [item.policy for item in everything.policies], passed_over
