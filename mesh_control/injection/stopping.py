"""Has an application that is to end serve on until nobody sends it requests any more. Pure.

Kubernetes tells a pod that it ends and the world that it is gone at the same time. Whoever has not heard of it yet still
sends requests, which an application that has ended refuses, and no other host can be asked where a request may have
arrived. So containers that have no hook of their own wait a moment before they are told (``preStop``); by then every proxy
knows.
"""

from collections.abc import Mapping
from typing import Any, Final

from mesh_control.injection.template import SLEEP_SINCE, Template

GRACE_SECONDS: Final = 30
"""How long Kubernetes waits for a pod to end that says nothing of it."""


def delay(template: Template, wished: int | None, spec: Mapping[str, Any], version: tuple[int, int] | None) -> int:
    """Seconds; 0 where the cluster knows no such hook. At most half of the time that the pod has to end in all."""
    if version is not None and version < SLEEP_SINCE:
        return 0
    grace = spec.get("terminationGracePeriodSeconds")
    return min(
        template.stop_delay_seconds if wished is None else wished, (GRACE_SECONDS if grace is None else grace) // 2
    )


def hook(seconds: int) -> dict[str, Any]:
    """What a container does before it is told to end: it goes on for so long."""
    return {"preStop": {"sleep": {"seconds": seconds}}}


def delayed(container: Mapping[str, Any], seconds: int) -> dict[str, Any]:
    """The container with the hook; one that has a hook of its own knows better."""
    lifecycle = container.get("lifecycle") or {}
    if not seconds or lifecycle.get("preStop"):
        return dict(container)
    return {**container, "lifecycle": {**lifecycle, **hook(seconds)}}
