"""Whether an account of a cluster may have Secrets: whoever may list those of its namespace gets them from us, too, as istiod
has it (``pilot/pkg/credentials/kube``). The API server is asked, and its answers are kept for a while."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mesh_control.sources.kubernetes.access import Access
from mesh_control.sources.kubernetes.api import Api, ApiError

log = logging.getLogger("mesh_control.kubernetes")

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
ALLOWED_SECONDS, DENIED_SECONDS = 300.0, 60.0
"""How long an answer counts (istiod's ``cacheTTL``)."""
SECONDS = 10.0
"""How long an answer may take."""

Post = Callable[[dict[str, Any]], Awaitable[Any]]
"""Sends a review to the API server, and gives back its answer. Raises :class:`ApiError` and :class:`TimeoutError`."""


@dataclass(slots=True)
class Rights:
    """When the API server does not answer, nobody may. ``clock`` in seconds."""

    post: Post
    clock: Callable[[], float] = time.monotonic
    _known: dict[tuple[str, str], tuple[float, bool]] = field(default_factory=dict)

    async def may_list_secrets(self, namespace: str, account: str) -> bool:
        """Whether a service account may list the Secrets of its namespace."""
        now = self.clock()
        self._known = {key: found for key, found in self._known.items() if found[0] > now}
        known = self._known.get((namespace, account))
        if known is not None:
            return known[1]
        allowed = await self._ask(namespace, account)
        self._known[namespace, account] = (now + (ALLOWED_SECONDS if allowed else DENIED_SECONDS), allowed)
        return allowed

    async def _ask(self, namespace: str, account: str) -> bool:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {
                "user": f"system:serviceaccount:{namespace}:{account}",
                "resourceAttributes": {"namespace": namespace, "verb": "list", "resource": "secrets"},
            },
        }
        try:
            async with asyncio.timeout(SECONDS):
                answer = await self.post(review)
        except (ApiError, TimeoutError) as error:
            log.warning("whether %s/%s may list Secrets cannot be asked: %s", namespace, account, error)
            return False
        status = answer.get("status") if isinstance(answer, dict) else None
        return isinstance(status, dict) and status.get("allowed") is True


def asking(access: Access) -> Post:
    """At an API server. The account by which it is asked may create ``subjectaccessreviews``."""

    async def post(review: dict[str, Any]) -> Any:
        async with Api(access) as api:
            return await api.request("POST", PATH, review)

    return post
