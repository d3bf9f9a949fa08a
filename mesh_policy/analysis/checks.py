"""The one list of checks, and a whole analysis: objects in, findings out."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from mesh_policy.analysis import (
    annotations,
    authentication,
    authorization,
    conditions,
    deprecations,
    destination_rules,
    gateways,
    injection,
    matches,
    schema_warnings,
    service_entries,
    services,
    sidecars,
    telemetry,
    virtual_services,
)
from mesh_policy.analysis.context import Check, Context, Knowledge, run
from mesh_policy.analysis.finding import Finding
from mesh_policy.analysis.inputs import Inputs, suppressed_codes
from mesh_policy.analysis.pods import GATEWAY_NAME
from mesh_policy.base import Policy

GATEWAY_API = "gateway.networking.k8s.io"


def _of_gateway_api(context: Context) -> Iterator[Finding]:
    """The checks of the Gateway API, whose kinds take long to import, where there is one of it or a pod of its gateways."""
    kinds = any(isinstance(placed.value, Policy) and placed.value.GROUP == GATEWAY_API for placed in context.objects)
    if kinds or any(GATEWAY_NAME in pod.labels for pod in context.pods or ()):
        from mesh_policy.analysis import gateway_api

        for check in gateway_api.CHECKS:
            yield from check(context)


CHECKS: Sequence[Check] = (
    *virtual_services.CHECKS,
    *matches.CHECKS,
    *destination_rules.CHECKS,
    *gateways.CHECKS,
    _of_gateway_api,
    *service_entries.CHECKS,
    *services.CHECKS,
    *injection.CHECKS,
    *authorization.CHECKS,
    *sidecars.CHECKS,
    *authentication.CHECKS,
    *telemetry.CHECKS,
    *annotations.CHECKS,
    *conditions.CHECKS,
    *deprecations.CHECKS,
    *schema_warnings.CHECKS,
)
"""Every check. To add one: a function in the module of its subject, a line in that module's list, its code in codes.py."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Findings that are not to be told: a code, and objects by a pattern such as ``Pod *.testing``; unset, all of them.

    The pattern is of the kind and of ``NAMESPACE/NAME`` or ``NAME.NAMESPACE``, with ``*`` for anything.
    """

    code: str
    pattern: str = "*"

    @classmethod
    def parse(cls, text: str) -> "Suppression":
        """``CODE`` or ``CODE=KIND NAMESPACE/NAME``. Raises :class:`ValueError`."""
        code, _, pattern = text.partition("=")
        if not re.fullmatch(r"[A-Z]+[0-9]{4}", code):
            raise ValueError(f"{text!r}: write CODE, or CODE=KIND NAMESPACE/NAME with * for anything")
        return cls(code, pattern or "*")

    def covers(self, finding: Finding) -> bool:
        """Whether the finding is one of those."""
        if finding.code != self.code:
            return False
        other = f"{finding.kind} {finding.name}.{finding.namespace}"
        return any(fnmatch.fnmatchcase(subject, self.pattern) for subject in (finding.subject, other))


def analyze(inputs: Inputs, known: Knowledge | None = None, suppressions: Iterable[Suppression] = ()) -> list[Finding]:
    """Everything found about the objects, sorted by file and line. Pure."""
    known = known or Knowledge()
    if inputs.mesh is not None:
        known = replace(known, mesh=inputs.mesh)
    broken = {finding.subject for finding in inputs.findings if finding.code == "IST0106"}
    context = Context(
        inputs.objects, known, frozenset(broken - {placed.subject for placed in inputs.objects}), inputs.broken_hosts
    )
    ignored = {(p.subject, code) for p in inputs.objects if p.annotations for code in suppressed_codes(p.annotations)}
    ignored |= inputs.suppressed
    chosen = list(suppressions)
    return sorted(
        (
            finding
            for finding in (*inputs.findings, *run(CHECKS, context))
            if not {(finding.subject, finding.code), (finding.subject, "*")} & ignored
            and not any(suppression.covers(finding) for suppression in chosen)
        ),
        key=lambda f: (f.source, f.line, -f.level, f.subject, f.field, f.code, f.message),
    )
