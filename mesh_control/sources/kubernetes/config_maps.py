"""ConfigMaps that replicas of the control plane write for each other. No decisions."""

from collections.abc import Mapping
from dataclasses import dataclass

from mesh_control.sources.kubernetes.api import MERGE, Api, ApiError

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class ConfigMaps:
    """Those of a namespace. Everything raises :class:`~mesh_control.sources.kubernetes.api.ApiError`."""

    api: Api
    namespace: str

    async def read(self, name: str) -> tuple[dict[str, str], str]:
        """Its entries and its version; without entries and version where there is none."""
        try:
            value = await self.api.request("GET", f"{self._path}/{name}")
        except ApiError as error:
            if error.status == NOT_FOUND:
                return {}, ""
            raise
        return dict(value.get("data") or {}), str(value["metadata"]["resourceVersion"])

    async def write(self, name: str, entries: Mapping[str, str | None], version: str | None) -> str:
        """Put these entries there, or take those away that are ``None``; returns the new version.

        It is for that version alone, where the empty one stands for no object at all (status 409 where it is another one);
        ``None``: for any that is there.
        """
        if version == "":
            kept = {key: text for key, text in entries.items() if text is not None}
            metadata = {"name": name, "namespace": self.namespace}
            made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": kept}
            value = await self.api.request("POST", self._path, made)
        else:
            body = {"data": dict(entries)} | ({} if version is None else {"metadata": {"resourceVersion": version}})
            value = await self.api.request("PATCH", f"{self._path}/{name}", body, content=MERGE)
        return str(value["metadata"]["resourceVersion"])

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/configmaps"
