"""What is done with objects of a cluster: applied, read, deleted, waited for."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes_provider_double import discovery, readiness
from kubernetes_provider_double.api import APPLY, Api
from kubernetes_provider_double.errors import ApiError, NotReadyError, ProviderError
from kubernetes_provider_double.objects import PROPAGATION, Object, annotation, metadata, title

STEP = 0.2
"""Seconds between two looks."""
NEW_KIND_SECONDS = 30.0
"""In which a kind must be served whose definition came with the same update; a server takes a moment after it says so."""


@dataclass(frozen=True)
class Applied:
    """How an object is applied."""

    manager: str
    force: bool
    dry_run: bool


class Cluster:
    """A cluster, by its API server."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        """Where objects go that name no namespace."""
        self._discovery = discovery.Discovery(api)
        self._cancelled = asyncio.Event()

    def cancel(self) -> None:
        """The user has cancelled the update: nothing is waited for any more."""
        self._cancelled.set()

    async def kind(self, value: Mapping[str, Any]) -> discovery.Resource | None:
        """How the server has the kind of an object; ``None``: it does not know it, or not yet."""
        return await self._discovery.find(str(value["apiVersion"]), str(value["kind"]))

    async def get(self, value: Mapping[str, Any]) -> Object | None:
        """The live object; ``None``: there is none, or not even its kind."""
        path = await self._path(value)
        if path is None:
            return None
        try:
            return dict(await self.api.request("GET", path))
        except ApiError as error:
            if error.status == 404:
                return None
            raise _about(value, error) from None

    async def apply(self, value: Object, how: Applied) -> Object:
        """Have an object as it is given, by server-side apply. Raises :class:`ApiError`."""
        path = await self._path(value, 0 if how.dry_run else NEW_KIND_SECONDS)
        if path is None:
            raise ApiError(404, f"{title(value)}: the server knows no kind {value['kind']} of {value['apiVersion']}")
        query = {"fieldManager": how.manager, "fieldValidation": "Strict", "force": "true" if how.force else "false"}
        if how.dry_run:
            query["dryRun"] = "All"
        try:
            return dict(await self.api.request("PATCH", path, value, query, APPLY))
        except ApiError as error:
            raise _about(value, error, how.manager) from None

    async def ready(self, live: Object, seconds: float) -> Object:
        """Wait until an object is ready; returns what it is then. Raises :class:`NotReadyError`."""
        deadline = time.monotonic() + seconds
        try:
            while reason := readiness.missing(live):
                if self._cancelled.is_set():
                    raise NotReadyError(f"{title(live)}: not waited for any more, for the update was cancelled", live)
                if time.monotonic() > deadline:
                    raise NotReadyError(f"{title(live)}: not ready after {seconds:.0f} s: {reason}", live)
                await self._step()
                found = await self.get(live)
                if found is None:
                    raise ProviderError(f"{title(live)}: somebody deleted it while it became ready")
                live = found
        except readiness.FailedError as failure:
            raise NotReadyError(f"{title(live)}: {failure}", live) from None
        return live

    async def delete(self, value: Mapping[str, Any], seconds: float) -> None:
        """Delete an object and wait until it is gone; one that is another by now (by its uid) is left alone."""
        path = await self._path(value)
        if path is None:
            return
        uid = metadata(value).get("uid")
        body: dict[str, Any] = {"propagationPolicy": annotation(value, PROPAGATION).capitalize() or "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            await self.api.request("DELETE", path, body)
        except ApiError as error:
            if error.status == 404 or (error.status == 409 and uid):
                return
            raise _about(value, error) from None
        deadline = time.monotonic() + seconds
        while (live := await self.get(value)) is not None and metadata(live).get("uid") == (
            uid or metadata(live)["uid"]
        ):
            if time.monotonic() > deadline:
                held = metadata(live).get("finalizers") or (live.get("spec") or {}).get("finalizers") or "nothing"
                raise ProviderError(f"{title(value)}: still there after {seconds:.0f} s, held by {held}")
            if self._cancelled.is_set():
                raise ProviderError(f"{title(value)}: not waited for any more, for the update was cancelled")
            await self._step()

    async def _step(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._cancelled.wait(), STEP)

    async def _path(self, value: Mapping[str, Any], patience: float = 0) -> str | None:
        deadline = time.monotonic() + patience
        while (resource := await self.kind(value)) is None:
            if time.monotonic() >= deadline or self._cancelled.is_set():
                return None
            await self._step()
        own = metadata(value)
        return discovery.path(value["apiVersion"], resource, own.get("namespace") or self.namespace, own["name"])


def _about(value: Mapping[str, Any], error: ApiError, manager: str = "") -> ApiError:
    """The server's refusal with the object's name, and what mends it where that is known."""
    message = f"{title(value)}: the API server says: {error.message}"
    if manager and error.status == 409:
        message += (
            f'\nField manager "{manager}" applies these fields, and others own them. Leave them out, or take them over: '
            'annotation pulumi.com/patchForce: "true", or enablePatchForce of the provider.'
        )
    elif error.status == 422 and "immutable" in error.message:
        message += "\nOnly a new object can have it: pulumi up --replace URN, or the option replace_on_changes."
    return ApiError(error.status, message)
