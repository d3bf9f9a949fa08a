"""Session persistence: requests of one session go to one backend."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Text
from mesh_policy.gateway_api.durations import GatewayDuration
from mesh_policy.gateway_api.refusals import refuse


class CookieConfig(Model):
    """How long a cookie lives."""

    lifetime_type: Literal["Permanent", "Session"] | None = None
    """``Session`` (default): the cookie ends with the browser. ``Permanent``: it ends after ``absoluteTimeout``, which
    is then required."""


class SessionPersistence(Model):
    """How requests are told to belong to one session."""

    session_name: Annotated[str, Text("a name", most=128, least=0)] | None = None
    """Name of the cookie or header, at most 128 characters; unset, the implementation chooses one."""
    absolute_timeout: GatewayDuration | None = None
    """Longest life of a session, such as ``1h``, however busy it is; required for cookies that are ``Permanent``."""
    type: Literal["Cookie", "Header"] | None = None
    """By what a session is known again: ``Cookie`` (default) or ``Header``."""
    cookie_config: CookieConfig | None = None
    """How long the cookie lives; with ``Cookie`` alone."""

    @model_validator(mode="after")
    def _cookie_fits(self) -> Self:
        if self.cookie_config is None:
            return self
        if self.type == "Header":
            refuse(self, [(("cookieConfig",), "goes with type Cookie; remove it, or change the type")])
        if self.cookie_config.lifetime_type == "Permanent" and self.absolute_timeout is None:
            refuse(self, [(("absoluteTimeout",), "is required with a Permanent cookie")])
        return self
