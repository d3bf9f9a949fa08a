"""A question of an API server about one object, and the answer (``admission.k8s.io/v1``). Pure.

What is refused is what is wrong with the object itself, and what contradicts what is there. What it names and what is not
there yet is a warning: objects of one ``kubectl apply`` come in any order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_policy import Finding, Level, Policy, PolicyError, Problem, json_text
from mesh_policy.load import policy_of
from mesh_policy.positions import Document

API_VERSION = "admission.k8s.io/v1"
NOT_THERE_YET = frozenset({"IST0101"})
"""Codes of errors that are warnings here: another object may still come."""
NOT_HONOURED = "MESH0006"
SHARED_GROUPS = ("gateway.networking.k8s.io",)
"""API groups of which a cluster may have objects for other controllers, too: what we do not honour is theirs to judge."""
LONGEST = 400
"""Characters of what is called an object in the log: names have 253, and namespaces 63."""
Judge = Callable[[Policy], list[Finding]]
"""What would be found, if the policy came into the present world."""


class ReviewError(ValueError):
    """A body that is no AdmissionReview; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Review:
    """The question. ``resource`` is its group, version and resource, as the metrics name it. ``value`` is the object."""

    uid: str
    operation: str
    resource: tuple[str, str, str] = ("", "", "")
    value: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False

    @property
    def subject(self) -> str:
        """Kind, namespace and name, for the log: in one line, whatever was sent."""
        namespace = self._metadata.get("namespace") or "default"
        said = f"{self.value.get('kind', '?')} {namespace}/{self._metadata.get('name', '?')}"
        return said if said.isprintable() and len(said) < LONGEST else "something"

    @property
    def is_being_removed(self) -> bool:
        """Whether the object only waits for its finalizers: to refuse their removal would keep it for ever."""
        return bool(self._metadata.get("deletionTimestamp"))

    @property
    def _metadata(self) -> Mapping[str, Any]:
        found = self.value.get("metadata")
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer. ``reason`` is istiod's word for a refusal, for the metrics; empty when the object is taken.

    ``problems`` have a line for whatever is wrong, each with the field and a mend; ``fields`` are these fields alone, for the
    log: a message may quote what nobody else may read.
    """

    reason: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


def parse(body: bytes) -> Review:
    """The question of a body. Raises :class:`ReviewError`."""
    try:
        value = json_text.parse(body)
    except ValueError as error:
        raise ReviewError(f"the body is no JSON: {error}") from None
    if not isinstance(value, dict) or value.get("kind") != "AdmissionReview":
        raise ReviewError("the body is no AdmissionReview")
    if value.get("apiVersion") != API_VERSION:
        raise ReviewError(f"apiVersion: {value.get('apiVersion')!r} is not understood; ask in {API_VERSION}")
    request = value.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str) or not request["uid"]:
        raise ReviewError("request.uid is missing")
    asked = request.get("object")
    if asked is not None and not isinstance(asked, dict):
        raise ReviewError("request.object is no object")
    resource = request.get("resource")
    resource = resource if isinstance(resource, dict) else {}
    return Review(
        uid=request["uid"],
        operation=str(request.get("operation", "")),
        resource=tuple(str(resource.get(name, "")) for name in ("group", "version", "resource")),  # type: ignore[arg-type]
        value=_complete(asked or {}, request),
        dry_run=request.get("dryRun") is True,
    )


def _complete(value: dict[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The object with the namespace and name that it will have: of a generated name only the beginning is known."""
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return value
    name = metadata.get("name") or request.get("name") or f"{metadata.get('generateName', '')}x"
    namespace = metadata.get("namespace") or request.get("namespace") or "default"
    return {**value, "metadata": {**metadata, "name": name, "namespace": namespace}}


def verdict(review: Review, judge: Judge) -> Verdict:
    """The answer to the question. ``judge`` is only asked about policies that are valid."""
    if review.operation not in ("CREATE", "UPDATE") or review.is_being_removed:
        return Verdict()
    if not all(isinstance(review.value.get(key), str) for key in ("apiVersion", "kind")):
        return Verdict("yaml_decode_error", ("apiVersion and kind are required, as text",))
    try:
        loaded = policy_of(Document.of(dict(review.value)), "")
    except PolicyError as error:
        known = any(problem.field.startswith(("spec", "metadata")) for problem in error.problems)
        reason = "invalid_resource" if known else "unknown_type"
        return Verdict(reason, tuple(map(_told, error.problems)), (), tuple(p.field for p in error.problems))
    if loaded is None:
        return Verdict(
            "unknown_type", (f"{review.value['kind']}: is no policy of this mesh; remove the rule that asks",)
        )
    findings = judge(loaded.policy)
    errors = [finding for finding in findings if _refuses(finding, loaded.policy)]
    warnings = tuple(_found(finding) for finding in findings if finding not in errors)
    if not errors:
        return Verdict(warnings=warnings)
    fields = tuple(f"{finding.code} {finding.field}" for finding in errors)
    return Verdict("invalid_resource", tuple(map(_found, errors)), warnings, fields)


def _refuses(finding: Finding, policy: Policy) -> bool:
    if finding.level is not Level.ERROR or finding.code in NOT_THERE_YET:
        return False
    return finding.code != NOT_HONOURED or policy.GROUP not in SHARED_GROUPS


def _told(problem: Problem) -> str:
    return f"{problem.subject}: {problem.field}: {problem.message}" if problem.field else str(problem.message)


def _found(finding: Finding) -> str:
    place = f"{finding.subject}: {finding.field}" if finding.field else finding.subject
    return f"{finding.code} {place}: {finding.message}"


def answer(review: Review, found: Verdict) -> dict[str, Any]:
    """What the API server is sent."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": not found.problems}
    if found.problems:
        response["status"] = {"code": 422, "reason": "Invalid", "message": "\n".join(found.problems)}
    if found.warnings:
        response["warnings"] = list(found.warnings)
    return {"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response}
