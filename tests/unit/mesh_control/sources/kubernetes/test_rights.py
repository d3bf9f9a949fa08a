"""Whether an account may have Secrets, as the API server says."""

import asyncio
from typing import Any

import pytest

from mesh_control.sources.kubernetes.api import ApiError
from mesh_control.sources.kubernetes.rights import ALLOWED_SECONDS, DENIED_SECONDS, Rights


class Server:
    """Answers with ``status``, or fails."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    async def __call__(self, review: dict[str, Any]) -> Any:
        self.asked.append(review["spec"])
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "allowed"),
    [
        ({"status": {"allowed": True}}, True),
        ({"status": {"allowed": False}}, False),
        ({"status": {"allowed": "true"}}, False),
        ({}, False),
        (None, False),
        (ApiError(403, "forbidden"), False),
        (TimeoutError(), False),
    ],
)
def test_what_the_server_says(answer: Any, allowed: bool) -> None:
    server, now = Server(answer), [0.0]
    rights = Rights(server, lambda: now[0])
    kept = ALLOWED_SECONDS if allowed else DENIED_SECONDS
    for now[0], count in ((0.0, 1), (kept - 1, 1), (kept + 1, 2)):
        assert asyncio.run(rights.may_list_secrets("shop", "gateway")) is allowed
        assert len(server.asked) == count
    assert server.asked[0] == {
        "user": "system:serviceaccount:shop:gateway",
        "resourceAttributes": {"namespace": "shop", "verb": "list", "resource": "secrets"},
    }
