"""What the stack asks of the control plane: put a set of policies in force and wait, read it back, take it away."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from stacks import remote


class PolicyError(RuntimeError):
    """A set of policies was not put in force; the message says which proxy or document refused what."""


class ControlPlane:
    """The control plane's command on its own machine. ``command`` is the path of ``mesh``, ``socket`` its socket there."""

    def __init__(self, place: remote.Remote, command: str, socket: str) -> None:
        self._place = place
        self._base = [command, "policies"]
        self._socket = ["--socket", socket]

    @classmethod
    def at(cls, values: Mapping[str, Any]) -> "ControlPlane":
        """From a stack's values ``{"place": ..., "command": ..., "socket": ...}``."""
        return cls(remote.connect(values["place"]), values["command"], values["socket"])

    def apply(self, owner: str, documents: Sequence[str], seconds: float) -> dict[str, Any]:
        """Put exactly these documents in force for ``owner``; returns when every affected proxy has acknowledged them.

        Raises :class:`PolicyError` when they are refused; what was in force before then stays.
        """
        wait = ["--wait", f"{seconds:g}"]
        answer = self._place.run(
            [*self._base, "apply", *self._socket, "--owner", owner, *wait, "--output", "json"],
            stdin="---\n".join(documents),
            seconds=seconds + 30,
        )
        if answer.code:
            raise PolicyError(answer.err.strip() or answer.out.strip())
        return dict(json.loads(answer.out))

    def read(self, owner: str) -> str:
        """The documents in force for ``owner`` as YAML; empty when there are none."""
        answer = self._place.run([*self._base, "get", *self._socket, "--owner", owner])
        if answer.code:
            raise PolicyError(answer.err.strip())
        return answer.out

    def delete(self, owner: str) -> None:
        """Take all documents of ``owner`` away."""
        answer = self._place.run([*self._base, "delete", *self._socket, "--owner", owner, "--wait", "30"])
        if answer.code:
            raise PolicyError(answer.err.strip())
