"""What the stack asks of the control plane: put a set of policies in force and wait, read it back, take it away."""

import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stacks import remote


class PolicyError(RuntimeError):
    """A set of policies was not put in force; the message says which proxy or document refused what."""


class ControlPlane:
    """The control plane by the ``mesh`` command of a place. ``command`` is its path there, ``way`` the options by which it
    reaches the control plane: its socket on its own machine, or the login of a cluster, by which releases are reached."""

    def __init__(self, place: remote.Remote, command: str, way: Sequence[str]) -> None:
        self._place = place
        self._base = [command, "policies"]
        self._canary = [command, "canary"]
        self._way = list(way)

    @classmethod
    def at(cls, values: Mapping[str, Any]) -> "ControlPlane":
        """From a stack's values ``{"place": ..., "command": ..., "socket": ...}``; of a cluster from those of
        :func:`of_cluster`."""
        if "kubeconfig" in values:
            way = ["--kubeconfig", values["kubeconfig"], "--control-namespace", values["namespace"]]
        else:
            way = ["--socket", values["socket"]]
        return cls(remote.connect(values["place"]), values["command"], way)

    def apply(self, owner: str, documents: Sequence[str], seconds: float) -> dict[str, Any]:
        """Put exactly these documents in force for ``owner``; returns when every affected proxy has acknowledged them.

        Raises :class:`PolicyError` when they are refused (what was in force before then stays), and when a workload's proxy
        is not connected within that time (they are in force then, and that proxy will take them when it comes).
        """
        deadline = time.monotonic() + seconds
        wait = ["--wait", f"{seconds:g}"]
        answer = self._place.run(
            [*self._base, "apply", *self._way, "--owner", owner, *wait, "--output", "json"],
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
            answer = self._place.run([self._base[0], "status", *self._way, "--output", "json"])
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

    def begin(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Begin a release, given as the document of a rollout; one that is under way just so goes on. Returns where it is.

        Raises :class:`PolicyError` when it is refused.
        """
        answer = self._place.run(
            [*self._canary, "start", "-", *self._way, "--output", "json"], stdin=json.dumps(document), seconds=90
        )
        return _first(answer)

    def follow(self, name: str, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
        """Wait for the end of a release, telling every change. Raises :class:`PolicyError` when it was aborted, with its
        reason and measurements, and when it has not ended in time (it goes on then, and can be waited for again)."""
        deadline, told = time.monotonic() + seconds, ""
        while True:
            found = _first(self._place.run([*self._canary, "status", name, *self._way, "--output", "json"]))
            line = _where(found)
            if line != told:
                say(line)
                told = line
            if found["phase"] == "promoted":
                return found
            if found["phase"] == "aborted":
                raise PolicyError(f"the release {line}")
            if time.monotonic() > deadline:
                raise PolicyError(
                    f"the release {line}: it has not ended within {seconds:g} s, and goes on; look at it with "
                    f"`{shlex.join(['mesh', 'canary', 'status', name, *self._way, '--watch'])}`, and run this again"
                )
            time.sleep(1.0)

    def give_up(self, name: str) -> None:
        """End a release that is under way, and take its policies away; one that is not there is no failure."""
        for order in ("abort", "remove"):
            answer = self._place.run([*self._canary, order, name, *self._way])
            if answer.code and "there is no release" not in answer.err and "has ended" not in answer.err:
                raise PolicyError(answer.err.strip())

    def read(self, owner: str) -> str:
        """The documents in force for ``owner`` as YAML; empty when there are none."""
        answer = self._place.run([*self._base, "get", *self._way, "--owner", owner])
        if answer.code:
            raise PolicyError(answer.err.strip())
        return answer.out

    def delete(self, owner: str) -> None:
        """Take all documents of ``owner`` away."""
        answer = self._place.run([*self._base, "delete", *self._way, "--owner", owner, "--wait", "30"])
        if answer.code:
            raise PolicyError(answer.err.strip())


def of_cluster(kubeconfig: str, namespace: str) -> dict[str, Any]:
    """The values of the control plane in a cluster, as a stack keeps them: the path of its login, and none of its keys.
    ``namespace`` is the control plane's."""
    return {"place": {"kind": "here"}, "command": remote.mesh_here(), "kubeconfig": kubeconfig, "namespace": namespace}


def _first(answer: remote.Answer) -> dict[str, Any]:
    if answer.code:
        raise PolicyError(answer.err.strip() or answer.out.strip())
    return dict(json.loads(answer.out)[0])


def _where(found: Mapping[str, Any]) -> str:
    """A release in one line."""
    _, candidate = found["versions"]
    words = f"{found['name']} is {found['phase']}, {candidate} at {found['weight']} %"
    measured = [f"{limit}: {value}" for limit, value in found["measured"].items()]
    ended = found["phase"] in ("promoted", "aborted")
    reasons = [found["reason"] or found["waiting"], *(measured if ended else ())]
    return "; ".join([words, *filter(None, reasons)])
