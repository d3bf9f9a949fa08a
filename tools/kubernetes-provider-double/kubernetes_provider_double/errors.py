"""What goes wrong, as messages for the user."""

from __future__ import annotations

from typing import Any


class ProviderError(Exception):
    """An operation cannot be done; the message names the object or the setting."""


class ApiError(ProviderError):
    """The API server refused (``status`` is HTTP's), or does not answer (0)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class UnreachableError(ProviderError):
    """There is no way to the cluster."""


class NotReadyError(ProviderError):
    """The object is there and did not become ready: ``live`` is what the server last said."""

    def __init__(self, message: str, live: dict[str, Any]) -> None:
        super().__init__(message)
        self.live = live
