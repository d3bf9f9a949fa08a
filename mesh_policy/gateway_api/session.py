"""Session persistence: requests of one session go to one backend."""

from typing import Annotated, Literal, Self

from pydantic import model_validator

from mesh_policy.base import Model
from mesh_policy.gateway_api.constraints import Text
from mesh_policy.gateway_api.durations import GatewayDuration
from mesh_policy.gateway_api.refusals import refuse


class CookieConfig(Model):
    """``Permanent`` cookies carry a date of expiry (``absolute_timeout``); ``Session`` (default) end with the browser."""

    lifetime_type: Literal["Permanent", "Session"] | None = None


class SessionPersistence(Model):
    """By a cookie (default) or header named ``session_name``; ``absolute_timeout`` ends a session, however busy."""

    session_name: Annotated[str, Text("a name", most=128, least=0)] | None = None
    absolute_timeout: GatewayDuration | None = None
    type: Literal["Cookie", "Header"] | None = None
    cookie_config: CookieConfig | None = None

    @model_validator(mode="after")
    def _cookie_fits(self) -> Self:
        if self.cookie_config is None:
            return self
        if self.type == "Header":
            refuse(self, [(("cookieConfig",), "goes with type Cookie; remove it, or change the type")])
        if self.cookie_config.lifetime_type == "Permanent" and self.absolute_timeout is None:
            refuse(self, [(("absoluteTimeout",), "is required with a Permanent cookie")])
        return self
