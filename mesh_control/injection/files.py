"""Injection into manifests, without a cluster: the same pods as the webhook makes (``mesh inject``). Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from mesh_control.injection.decision import ENABLED, decide, has_proxy
from mesh_control.injection.pods import InjectionError, Maker, Surroundings, inject
from mesh_policy.analysis.pods import NAMESPACE_LABEL
from mesh_policy.objects import Fields, ObjectError
from mesh_policy.objects.workloads import read_pod

TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
"""Kind to where its template of pods is."""


class Injection:
    """Puts proxies into documents; ``warnings`` and ``skipped`` say of which object what."""

    def __init__(self, around: Surroundings, control_namespace: str = "istio-system") -> None:
        self._around = around
        self._control_namespace = control_namespace
        self.warnings: list[str] = []
        self.skipped: list[str] = []

    def document(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """The document with its proxy; one that makes no pods, and one that wants no proxy, as it is. A ``List`` has its
        items injected. Raises :class:`InjectionError`, which names the object."""
        if value.get("kind") == "List" and isinstance(value.get("items"), list):
            return {**value, "items": [self.document(item) for item in value["items"]]}
        place = TEMPLATES.get(str(value.get("kind")))
        if place is None:
            return dict(value)
        metadata = value.get("metadata") or {}
        namespace, name = str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")
        subject = f"{value['kind']} {namespace}/{name}"
        template = _at(value, place)
        if not isinstance(template.get("spec"), Mapping):
            raise InjectionError(f"{subject}: {'.'.join((*place, 'spec'))}: is missing")
        made = self._pod(template, namespace, Maker(str(value["kind"]), name), subject)
        return dict(value) if made is None else _with(value, place, made)

    def _pod(self, template: Mapping[str, Any], namespace: str, maker: Maker, subject: str) -> dict[str, Any] | None:
        own = dict(template.get("metadata") or {})
        pod = {**template, "metadata": {**own, "namespace": namespace, "name": own.get("name") or maker.name}}
        try:
            known = read_pod(Fields.of(pod))
        except ObjectError as error:
            raise InjectionError(f"{subject}: {'.'.join(map(str, error.path))}: {error.message}") from None
        decision = decide(known, {NAMESPACE_LABEL: ENABLED}, self._control_namespace)
        if not decision.wanted or has_proxy(known):
            self.skipped.append(f"{subject}: {decision.reason or 'it has a proxy already'}")
            return None
        if decision.obstacle:
            # As the webhook would refuse it; in files others may stand beside it, which it does not keep from theirs.
            raise InjectionError(f"{subject}: {decision.obstacle}")
        try:
            made = inject(pod, self._around, maker)
        except InjectionError as error:
            raise InjectionError(f"{subject}: {error}") from None
        self.warnings += [f"{subject}: {warning}" for warning in made.warnings]
        added = {name: made.pod["metadata"][name] for name in ("labels", "annotations")}
        return {**made.pod, "metadata": {**own, **added}}


def _at(value: Mapping[str, Any], place: tuple[str, ...]) -> Mapping[str, Any]:
    for name in place:
        inner = value.get(name)
        value = inner if isinstance(inner, Mapping) else {}
    return value


def _with(value: Mapping[str, Any], place: tuple[str, ...], made: dict[str, Any]) -> dict[str, Any]:
    if not place:
        return made
    first, *rest = place
    return {**value, first: _with(value[first], tuple(rest), made)}


def documents(values: Iterator[Mapping[str, Any]], injection: Injection) -> Iterator[dict[str, Any]]:
    """Every document, those of pods with their proxies."""
    for value in values:
        yield injection.document(value)
