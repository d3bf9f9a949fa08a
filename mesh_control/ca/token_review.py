"""Whoever runs in Kubernetes proves it by the token of its service account, about which the API server is asked."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mesh_api.identity import IdentityError, SpiffeId
from mesh_api.pod import TOKEN_AUDIENCE
from mesh_control.ca import tokens
from mesh_control.ca.authentication import Credentials
from mesh_control.ca.authority import Caller, DeniedError
from mesh_control.ca.tokens import Grant
from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api, ApiError

PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
AUDIENCES = (TOKEN_AUDIENCE,)
"""For whom a token must be made (Istio's ``TOKEN_AUDIENCES``): one for the API server itself is nobody else's to show."""
SECONDS = 10.0
"""How long an answer may take."""
MAX_TOKEN = 16 * 1024

Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Sends JSON to a path of the API server, and gives back the JSON that it answers. Raises :class:`OSError`."""


@dataclass(frozen=True, slots=True)
class TokenReviews:
    """Believes what the API server says of a token. When it does not answer, nobody is believed."""

    post: Post
    trust_domain: str
    audiences: tuple[str, ...] = AUDIENCES

    async def authenticate(self, shown: Credentials, now: float) -> Caller | None:
        """See :class:`~mesh_control.ca.authentication.Authenticator`."""
        if not shown.bearer or tokens.is_token(shown.bearer):
            return None
        if len(shown.bearer) > MAX_TOKEN:
            raise DeniedError("the bearer token is too long")
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": shown.bearer, "audiences": list(self.audiences)},
        }
        try:
            answer = await self.post(PATH, review)
        except OSError as error:
            raise DeniedError(f"the API server was asked about a token, and did not answer: {error}") from None
        account = service_account(answer, self.audiences)
        try:
            identity = SpiffeId.workload(self.trust_domain, *account)
        except IdentityError as error:
            raise DeniedError(str(error)) from None
        return Caller(Grant.of(identity), f"service account {account[0]}/{account[1]}")


def service_account(review: dict[str, Any], audiences: tuple[str, ...]) -> tuple[str, str]:
    """Namespace and name of the service account (Istio's ``security/pkg/k8s/tokenreview``).

    Raises :class:`~mesh_control.ca.authority.DeniedError`.
    """
    status = _mapping(review.get("status"))
    if status.get("error") or status.get("authenticated") is not True:
        raise DeniedError(f"the API server does not know the token: {str(status.get('error', ''))[:200]}")
    # A server that does not know about audiences says none; then the token may be for anybody.
    if not set(_texts(status.get("audiences"))) & set(audiences):
        raise DeniedError(f"the token is not for {', '.join(audiences)}")
    user = _mapping(status.get("user"))
    parts = str(user.get("username", "")).split(":")
    if "system:serviceaccounts" not in _texts(user.get("groups")) or len(parts) != 4:
        raise DeniedError("the token is no service account's")
    if parts[:2] != ["system", "serviceaccount"]:
        raise DeniedError("the token is no service account's")
    return parts[2], parts[3]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class ApiServer:
    """The API server of a cluster. The account by which it is asked may create ``tokenreviews``."""

    access: Access

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """See :data:`Post`."""
        try:
            async with asyncio.timeout(SECONDS), Api(self.access) as api:
                return _mapping(await api.request("POST", path, body))
        except ApiError as error:
            # Not what it says: that may be of what was sent.
            raise OSError(f"status {error.status}" if error.status else "no connection") from None
