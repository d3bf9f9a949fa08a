"""Where an API server has the objects of a kind. Pure, but for asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes_provider_double.api import Api
from kubernetes_provider_double.errors import ApiError


@dataclass(frozen=True)
class Resource:
    """A kind as it is served."""

    plural: str
    namespaced: bool


def root(api_version: str) -> str:
    """Path of a group and version."""
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def served(answer: Mapping[str, Any]) -> dict[str, Resource]:
    """Kinds of an ``APIResourceList``; what lies below others (``pods/log``) is no kind of its own."""
    return {
        item["kind"]: Resource(item["name"], bool(item["namespaced"]))
        for item in answer.get("resources") or []
        if "/" not in item["name"]
    }


def path(api_version: str, resource: Resource, namespace: str, name: str) -> str:
    """Path of one object."""
    place = f"/namespaces/{namespace}" if resource.namespaced else ""
    return f"{root(api_version)}{place}/{resource.plural}/{name}"


class Discovery:
    """What the server serves; asked again for what it did not know, since a definition may have come meanwhile."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[str, dict[str, Resource]] = {}

    async def find(self, api_version: str, kind: str) -> Resource | None:
        """``None``: the server does not know the kind, or not yet."""
        found = self._known.get(api_version, {}).get(kind)
        if found is None:
            try:
                self._known[api_version] = served(await self._api.request("GET", root(api_version)))
            except ApiError as error:
                if error.status != 404:
                    raise
            found = self._known.get(api_version, {}).get(kind)
        return found
