"""The provider's options, by the names that the real one gives them. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kubernetes_provider_double.errors import ProviderError
from kubernetes_provider_double.unknown import UNKNOWN

TEXTS = ("cluster", "context", "kubeconfig", "namespace")
FLAGS = {
    "deleteUnreachable": "delete_unreachable",
    "enableConfigMapMutable": "config_map_mutable",
    "enablePatchForce": "patch_force",
    "enableSecretMutable": "secret_mutable",
    "upsertExistingObjects": "upsert",
}
DELETE_UNREACHABLE = "PULUMI_K8S_DELETE_UNREACHABLE"
"""Environment variable that means ``deleteUnreachable``, also where no program is run that could say so."""
WITHOUT_EFFECT = (
    "clusterIdentifier",
    "suppressDeprecationWarnings",
    "suppressHelmHookWarnings",
    "version",
    "pluginDownloadURL",
)
"""Options about what the double never does."""


@dataclass(frozen=True)
class Settings:
    """What an instance of the provider is told. ``unknown``: a preview does not know all of it yet."""

    kubeconfig: str | None = None
    context: str | None = None
    cluster: str | None = None
    namespace: str | None = None
    patch_force: bool = False
    upsert: bool = False
    delete_unreachable: bool = False
    config_map_mutable: bool = False
    secret_mutable: bool = False
    unknown: bool = False

    @property
    def mutable(self) -> tuple[str, ...]:
        """Kinds whose content is changed in place."""
        kinds = (("ConfigMap", self.config_map_mutable), ("Secret", self.secret_mutable))
        return tuple(kind for kind, mutable in kinds if mutable)


def parse(values: Mapping[str, Any], environment: Mapping[str, str] = MappingProxyType({})) -> Settings:
    """Raises :class:`ProviderError` naming the option that the double does not know or cannot do."""
    found: dict[str, Any] = {"unknown": any(value is UNKNOWN for value in values.values())}
    if environment.get(DELETE_UNREACHABLE) == "true":
        found["delete_unreachable"] = True
    for name, value in values.items():
        if name in TEXTS:
            found[name] = None if value is UNKNOWN else str(value)
        elif name in FLAGS:
            found[FLAGS[name]] = _flag(name, value)
        elif name == "enableServerSideApply":
            if value is not UNKNOWN and not _flag(name, value):
                raise ProviderError("enableServerSideApply: the test double does nothing but server-side apply")
        elif name not in WITHOUT_EFFECT and not name.startswith("__"):
            raise ProviderError(f"{name}: this option is not known to the test double of the provider")
    return Settings(**found)


def _flag(name: str, value: Any) -> bool:
    """Options of providers come as JSON in a text."""
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        parsed = value
    if not isinstance(parsed, bool):
        raise ProviderError(f"{name}: {value!r} (allowed: true, false)")
    return parsed
