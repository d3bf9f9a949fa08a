"""Access logs (Envoy ``accesslog.v3.AccessLog`` with a file sink)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccessLog:
    """Lines appended to ``path`` (``/dev/stdout`` for the process's own output).

    Exactly one of ``text_format`` (with Envoy's command operators and its own line end) and ``json_format`` (pairs of key
    and format) is set. ``response_flags``, when not empty, writes only requests that carry one of these flags: Istio's
    listener log asks for ``NR``.
    """

    path: str
    text_format: str = ""
    json_format: tuple[tuple[str, str], ...] = ()
    response_flags: tuple[str, ...] = ()
