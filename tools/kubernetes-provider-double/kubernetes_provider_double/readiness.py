"""When an object that was applied counts as ready. Pure.

As the real provider's, in short: a rollout has ended, a Job is complete, a definition is served. ``pulumi.com/skipAwait``
waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Value = Mapping[str, Any]


class FailedError(Exception):
    """It will not become ready by itself."""


def missing(live: Value) -> str:
    """What it still lacks; empty: it is ready. Raises :class:`FailedError`."""
    wait = WAITS.get((str(live.get("apiVersion", "")).rpartition("/")[0], str(live.get("kind"))))
    return "" if wait is None else wait(live)


def _status(live: Value) -> Value:
    found: Value = live.get("status") or {}
    return found


def _spec(live: Value) -> Value:
    found: Value = live.get("spec") or {}
    return found


def _condition(live: Value, kind: str) -> Value:
    for condition in _status(live).get("conditions") or []:  # null on a definition that was made just now
        if condition.get("type") == kind:
            return dict(condition)
    return {}


def _holds(live: Value, kind: str) -> bool:
    return _condition(live, kind).get("status") == "True"


def _told(condition: Value) -> str:
    return f"{condition.get('reason', '')}: {condition.get('message', '')}".strip(": ")


def _unseen(live: Value) -> bool:
    """Whether the controller has not yet looked at what was applied."""
    return int(_status(live).get("observedGeneration") or 0) < int(live["metadata"].get("generation") or 0)


def _count(value: Value, name: str, default: int = 0) -> int:
    found = value.get(name)
    return default if found is None else int(found)


def _namespace(live: Value) -> str:
    phase = _status(live).get("phase", "Active")
    return "" if phase == "Active" else f"its phase is {phase}"


def _definition(live: Value) -> str:
    refusal = _condition(live, "NamesAccepted")
    if refusal.get("status") == "False" and refusal.get("reason") != "NotAccepted":
        raise FailedError(f"its names are not accepted: {_told(refusal)}")
    return "" if _holds(live, "Established") else "it is not established yet"


def _deployment(live: Value) -> str:
    status, wanted = _status(live), _count(_spec(live), "replicas", 1)
    if _spec(live).get("paused"):
        return ""
    if _unseen(live):
        return "its controller has not looked at it yet"
    progress = _condition(live, "Progressing")
    if progress.get("reason") == "ProgressDeadlineExceeded":
        raise FailedError(_told(progress))
    updated, total = _count(status, "updatedReplicas"), _count(status, "replicas")
    if updated < wanted:
        return f"{updated} of {wanted} replicas are of the new version"
    if total > updated:
        return f"{total - updated} replicas of the former version are there still"
    available = _count(status, "availableReplicas")
    return "" if available >= wanted else f"{available} of {wanted} replicas are available"


def _stateful_set(live: Value) -> str:
    status, wanted = _status(live), _count(_spec(live), "replicas", 1)
    if _unseen(live):
        return "its controller has not looked at it yet"
    ready = _count(status, "readyReplicas")
    if ready < wanted:
        return f"{ready} of {wanted} replicas are ready"
    strategy = _spec(live).get("updateStrategy") or {}
    parted = _count(strategy.get("rollingUpdate") or {}, "partition")
    if strategy.get("type") == "OnDelete" or parted:
        return ""
    same = status.get("currentRevision") == status.get("updateRevision")
    return "" if same or not wanted else "replicas of the former version are there still"


def _daemon_set(live: Value) -> str:
    status = _status(live)
    if _unseen(live):
        return "its controller has not looked at it yet"
    wanted = _count(status, "desiredNumberScheduled")
    updated, available = _count(status, "updatedNumberScheduled"), _count(status, "numberAvailable")
    if updated < wanted and (_spec(live).get("updateStrategy") or {}).get("type") != "OnDelete":
        return f"{updated} of {wanted} pods are of the new version"
    return "" if available >= wanted else f"{available} of {wanted} pods are available"


def _job(live: Value) -> str:
    failed = _condition(live, "Failed")
    if failed.get("status") == "True":
        raise FailedError(f"it failed: {_told(failed)}")
    if _spec(live).get("suspend") or _holds(live, "Complete"):
        return ""
    return "it is not complete yet"


def _service(live: Value) -> str:
    if _spec(live).get("type") != "LoadBalancer":
        return ""
    return (
        "" if (_status(live).get("loadBalancer") or {}).get("ingress") else "it has no address of a load balancer yet"
    )


def _pod(live: Value) -> str:
    phase = _status(live).get("phase")
    if phase == "Failed":
        raise FailedError(f"it failed: {_status(live).get('message', '')}")
    return "" if phase == "Succeeded" or _holds(live, "Ready") else f"it is not ready, its phase is {phase}"


WAITS: Mapping[tuple[str, str], Callable[[Value], str]] = {
    ("", "Namespace"): _namespace,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
}
"""By API group and kind."""
