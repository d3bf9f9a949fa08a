"""What the stack asks of the control plane: put a set of policies in force and wait, read it back, take it away."""

import json
import time
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

        Raises :class:`PolicyError` when they are refused (what was in force before then stays), and when a workload's proxy
        is not connected within that time (they are in force then, and that proxy will take them when it comes).
        """
        deadline = time.monotonic() + seconds
        wait = ["--wait", f"{seconds:g}"]
        answer = self._place.run(
            [*self._base, "apply", *self._socket, "--owner", owner, *wait, "--output", "json"],
            stdin="---\n".join(documents),
            seconds=seconds + 30,
        )
        if answer.code:
            raise PolicyError(answer.err.strip() or answer.out.strip())
        applied = dict(json.loads(answer.out))
        if applied["missing"]:
            self._await_missing(deadline)
        return applied

    def _await_missing(self, deadline: float) -> None:
        """Proxies that were not there, as after a restart of the control plane, connect and take everything."""
        while True:
            answer = self._place.run([self._base[0], "status", *self._socket, "--output", "json"])
            if answer.code:
                raise PolicyError(answer.err.strip())
            found = json.loads(answer.out)
            late = [name for name, proxy in found["proxies"].items() if not proxy["synced"]]
            if not found["missing"] and not late:
                return
            if time.monotonic() > deadline:
                absent = [f"{name} is not connected" for name in found["missing"]]
                behind = [f"{name} has not acknowledged" for name in late]
                raise PolicyError(
                    f"the policies are in force, and not at every proxy: {', '.join(absent + behind)}; look at its "
                    f"service on its machine, and run this again"
                )
            time.sleep(0.5)

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
