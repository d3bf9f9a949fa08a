"""A question of an API server about a new pod, and the answer with the pod's proxy as a patch. Pure.

The server asks where the labels of the namespace or of the pod select it (:mod:`mesh_control.injection.manifest`), so that
is not looked at again. A pod that is to have a proxy and cannot is refused: whoever made it (a ReplicaSet, a Job) has the
reason as an event, and nothing runs beside the mesh unnoticed.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesh_control.injection.decision import ENABLED, decide, has_proxy
from mesh_control.injection.pods import InjectionError, Surroundings, inject
from mesh_control.webhook.review import API_VERSION, Review
from mesh_policy.analysis.pods import NAMESPACE_LABEL
from mesh_policy.objects import Fields, ObjectError
from mesh_policy.objects.workloads import read_pod

POD = ("", "v1", "pods")


@dataclass(frozen=True, slots=True)
class Outcome:
    """``pod`` is the pod with its proxy; ``None``: it stays as it is, and ``reason`` says why. ``problem`` refuses it."""

    pod: Mapping[str, Any] | None = None
    reason: str = ""
    problem: str = ""
    warnings: tuple[str, ...] = ()


def outcome(review: Review, around: Surroundings, control_namespace: str) -> Outcome:
    """What becomes of the pod that is asked about."""
    if review.operation != "CREATE" or review.resource != POD:
        return Outcome(reason="only pods that are made are asked about")
    try:
        pod = read_pod(Fields.of(dict(review.value)))
    except ObjectError as error:
        return Outcome(problem=f"{'.'.join(map(str, error.path))}: {error.message}")
    decision = decide(pod, {NAMESPACE_LABEL: ENABLED}, control_namespace)
    if not decision.wanted:
        return Outcome(reason=decision.reason)
    if has_proxy(pod):
        return Outcome(reason="it has a proxy already")
    if decision.obstacle:
        return Outcome(problem=decision.obstacle)
    try:
        made = inject(review.value, around)
    except InjectionError as error:
        return Outcome(problem=str(error))
    return Outcome(made.pod, warnings=made.warnings)


def answer(review: Review, found: Outcome) -> dict[str, Any]:
    """What the API server is sent."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": not found.problem}
    if found.problem:
        message = f"no proxy can be put into the pod: {found.problem}"
        response["status"] = {"code": 422, "reason": "Invalid", "message": message}
    if found.pod is not None:
        patch = json.dumps(_patch(review.value, found.pod)).encode()
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch).decode()}
    if found.warnings:
        response["warnings"] = list(found.warnings)
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}


def _patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As JSON Patch (RFC 6902): labels, annotations and the specification; what the server sets itself is not touched."""
    made: list[dict[str, Any]] = []
    for name in ("labels", "annotations"):
        value = after["metadata"][name]
        if value != (before.get("metadata") or {}).get(name):
            made.append({"op": "add", "path": f"/metadata/{name}", "value": value})
    return [*made, {"op": "replace", "path": "/spec", "value": after["spec"]}]
