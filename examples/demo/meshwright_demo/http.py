"""Errors as JSON, an access log, and requests read field by field."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from aiohttp import web

from meshwright_demo import log

logger = logging.getLogger("http")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Choice = TypeVar("Choice", bound=StrEnum)
MAX_BODY = 64 * 1024
"""Bytes of a request's body: every request of this API is far smaller."""
CLIENT_CLOSED_REQUEST = 499
"""Only in the log: nobody is there to read an answer."""


class ServiceError(Exception):
    """An error that the caller is told: ``{"message": ...}`` with the status of its class."""

    status = 500


class InvalidRequestError(ServiceError):
    """The request cannot be understood; the text names the field and what is allowed."""

    status = 400


class NotFoundError(ServiceError):
    """No such user, order, item or warranty."""

    status = 404


class NotAvailableError(ServiceError):
    """The item is sold out."""

    status = 409


class DownstreamError(ServiceError):
    """A service that is needed for the answer failed or could not be reached."""

    status = 422


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An ErrorResponse."""
    return web.json_response({"message": message}, status=status, headers=headers)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into an ErrorResponse; an unexpected error is logged and told to nobody."""
    try:
        return await handler(request)
    except ServiceError as error:
        return error_response(error.status, str(error))
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_response(error.status, f"{request.method} {request.path}: {error.reason}", allow)
    except Exception:
        logger.exception("unexpected error", extra=log.fields(method=request.method, path=request.path))
        return error_response(500, "internal error")


@web.middleware
async def access_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """One line per request, also for one whose client went away before the answer."""
    begun = time.monotonic()
    status = 500
    try:
        response = await handler(request)
        status = response.status
        return response
    except asyncio.CancelledError:
        status = CLIENT_CLOSED_REQUEST
        raise
    finally:
        log.event(
            logger,
            "client went away before the answer" if status == CLIENT_CLOSED_REQUEST else "request",
            method=request.method,
            path=request.path,
            status=status,
            milliseconds=round((time.monotonic() - begun) * 1000, 1),
            request_id=request.headers.get("x-request-id", ""),
        )


def path_uid(request: web.Request, name: str) -> UUID:
    """A UUID in the path."""
    return _uid(name, request.match_info[name])


def _uid(name: str, value: object) -> UUID:
    try:
        return UUID(value if isinstance(value, str) else "")
    except ValueError:
        raise InvalidRequestError(f"{name}: {value!r} is not a UUID") from None


class Body:
    """A JSON object; each field is taken with its type, and unknown ones are ignored.

    Every method raises :class:`InvalidRequestError`, which becomes 400.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    @classmethod
    async def of(cls, request: web.Request) -> Body:
        """The body of a request."""
        try:
            values = await request.json()
        except ValueError as error:  # also UnicodeDecodeError
            raise InvalidRequestError(f"body: not JSON ({error})") from None
        except LookupError:
            raise InvalidRequestError(f"content-type: unknown charset {request.charset!r}") from None
        except RecursionError:
            raise InvalidRequestError("body: nested too deeply") from None
        if not isinstance(values, dict):
            raise InvalidRequestError("body: must be a JSON object")
        return cls(values)

    def text(self, name: str, most: int = 255) -> str:
        """A text that is not blank, of at most so many characters."""
        value = self._required(name)
        if not isinstance(value, str) or not value.strip() or len(value) > most or not _storable(value):
            raise InvalidRequestError(f"{name}: must be a text of 1 to {most} characters, got {_shown(value)}")
        return value

    def choice(self, name: str, choices: type[Choice]) -> Choice:
        """A member of an enumeration."""
        value = self._required(name)
        if not isinstance(value, str) or value not in list(choices):
            raise InvalidRequestError(f"{name}: must be one of {', '.join(choices)}, got {_shown(value)}")
        return choices(value)

    def uid(self, name: str) -> UUID:
        """A UUID."""
        return _uid(name, self._required(name))

    def count(self, name: str) -> int:
        """A whole number of at least 0."""
        value = self._required(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InvalidRequestError(f"{name}: must be a whole number of at least 0, got {_shown(value)}")
        return value

    def _required(self, name: str) -> object:
        value = self._values.get(name)
        if value is None:
            raise InvalidRequestError(f"{name}: must be given")
        return value


def _storable(text: str) -> bool:
    """Whether PostgreSQL takes it: JSON may hold NUL and half a surrogate pair, the database neither."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
