"""Objects as Pulumi has them: names, namespaces, ids, and the form in which inputs are kept. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from kubernetes_provider_double.errors import ProviderError
from kubernetes_provider_double.unknown import UNKNOWN

AUTONAMED = "pulumi.com/autonamed"
SKIP_AWAIT = "pulumi.com/skipAwait"
TIMEOUT_SECONDS = "pulumi.com/timeoutSeconds"
PATCH_FORCE = "pulumi.com/patchForce"
FIELD_MANAGER = "pulumi.com/patchFieldManager"
PROPAGATION = "pulumi.com/deletionPropagationPolicy"

OF_SERVER = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")
"""Fields of the metadata that only a server writes."""
OWN = ("__inputs", "__fieldManager", "__initialApiVersion")
"""Properties of a state beside the object's, named as the real provider names them."""

Object = dict[str, Any]


def metadata(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object's metadata; empty where there are none, or none yet."""
    found = value.get("metadata")
    return found if isinstance(found, dict) else {}


def annotation(value: Mapping[str, Any], name: str) -> str:
    """An annotation; empty where there is none."""
    found = metadata(value).get("annotations")
    text = found.get(name) if isinstance(found, dict) else None
    return text if isinstance(text, str) else ""


def title(value: Mapping[str, Any]) -> str:
    """What to call an object in messages: kind, namespace and name."""
    own = metadata(value)
    place = f"{own['namespace']}/" if isinstance(own.get("namespace"), str) else ""
    return f"{value.get('kind', 'object')} {place}{own.get('name', '')}"


def identifier(value: Mapping[str, Any]) -> str:
    """The id in Pulumi's state: ``NAMESPACE/NAME``, or ``NAME``."""
    own = metadata(value)
    return f"{own['namespace']}/{own['name']}" if own.get("namespace") else str(own["name"])


def of_identifier(token: str, given: str) -> Object:
    """Just enough of an object to find it: by the type's token and an id, as ``pulumi import`` knows it."""
    place, _, name = given.rpartition("/")
    _package, version, kind = token.split(":")
    found: Object = {"apiVersion": version.removeprefix("core/"), "kind": kind, "metadata": {"name": name}}
    if place:
        found["metadata"]["namespace"] = place
    return found


def refused(token: str, kind: object) -> str:
    """Why the double does not make resources of this type; empty: it does."""
    _package, version, name = token.split(":")
    if version.startswith(("helm.sh", "kustomize", "yaml")):
        return f"{token} is not known to the test double of the provider"
    if isinstance(kind, str) and name != kind and name in (f"{kind}Patch", f"{kind}List"):
        return f"{token} is not known to the test double of the provider"
    return "lists cannot be made; make the objects in them" if isinstance(kind, str) and kind == "List" else ""


def normal(value: Mapping[str, Any]) -> Object:
    """An object as it is kept and sent: what a Secret has in ``stringData`` is in ``data``, which a server answers with."""
    made = dict(value)
    if value.get("apiVersion") == "v1" and value.get("kind") == "Secret" and isinstance(value.get("stringData"), dict):
        texts = made.pop("stringData")
        made["data"] = {**(made.get("data") or {}), **{name: _encoded(text) for name, text in texts.items()}}
    return made


def _encoded(text: Any) -> Any:
    return text if text is UNKNOWN else base64.b64encode(str(text).encode()).decode()


def named(value: Object, before: Mapping[str, Any], resource: str, seed: bytes) -> Object:
    """The object with a name: its own, else the one that was made for it before, else ``RESOURCE-SUFFIX`` of a new seed."""
    own = dict(metadata(value))
    if "generateName" in own:
        raise ProviderError(f"{value.get('kind')}: metadata.generateName is not known to the test double; leave it out")
    if "name" not in own:
        made_before = annotation(before, AUTONAMED) == "true"
        own["name"] = metadata(before)["name"] if made_before else f"{resource}-{seed.hex()[:8]}".lower()
        own["annotations"] = {**own.get("annotations", {}), AUTONAMED: "true"}
    return {**value, "metadata": own}


def cleaned(live: Mapping[str, Any]) -> Object:
    """What a state keeps of a live object: who manages which field is asked anew."""
    own = {name: value for name, value in metadata(live).items() if name != "managedFields"}
    return {**live, "metadata": own}


def importable(live: Mapping[str, Any]) -> Object:
    """A live object as inputs: without what only the server says."""
    own = {name: value for name, value in metadata(live).items() if name not in OF_SERVER}
    return {**{name: value for name, value in live.items() if name != "status"}, "metadata": own}
