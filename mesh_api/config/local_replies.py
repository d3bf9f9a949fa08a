"""What a connection manager makes of the answers that a proxy gives by itself (Envoy ``LocalReplyConfig``)."""

from dataclasses import dataclass

from mesh_api.config.access_log_filters import LogFilter
from mesh_api.config.routes import HeaderValue


@dataclass(frozen=True, slots=True)
class BodyFormat:
    """How a body is written: ``text`` with Envoy's command operators (``%LOCAL_REPLY_BODY%`` is what it would be without), or
    ``json_object``, the same as the text of a JSON object, compact and sorted.

    ``content_type``, empty: ``text/plain``, or ``application/json``. ``omit_empty_values``: what has no value is left out
    rather than ``-``. ``formatters`` are extensions with operators of their own, by name.
    """

    text: str = ""
    json_object: str = ""
    content_type: str = ""
    omit_empty_values: bool = False
    formatters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplyMapper:
    """What becomes of the answers that ``filter`` holds for: another status, another body, another form of it, headers.

    ``None``: as it is, of ``format`` as :class:`LocalReplies` says.
    """

    filter: LogFilter
    status: int | None = None
    body: bytes | None = None
    format: BodyFormat | None = None
    headers: tuple[HeaderValue, ...] = ()


@dataclass(frozen=True, slots=True)
class LocalReplies:
    """The first of the mappers that holds counts; ``format`` is for every answer whose mapper has none."""

    mappers: tuple[ReplyMapper, ...] = ()
    format: BodyFormat | None = None
