"""Objects of a Kubernetes cluster, by pulumi-kubernetes: typed, server-side apply, one field manager.

The field manager is the one that the role ``kubernetes`` applies with (``server_side_apply``), so an object that one of them
has made the other can take over: whoever applied last says all that this manager says of the object. What is not named here
is others' (a controller's status, the ``caBundle`` of a webhook), and stays.
"""

import importlib
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apiextensions import CustomResource

FIELD_MANAGER = "meshwright"
"""Of every object, whether Pulumi or Ansible applies it."""
MANAGER_ANNOTATION = "pulumi.com/patchFieldManager"
"""By which pulumi-kubernetes' provider is told the field manager; there is no option for all objects."""

DEFINITIONS = ("Namespace", "CustomResourceDefinition")
WORKLOADS = (
    *("CronJob", "DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet"),
    *("Ingress", "PersistentVolumeClaim", "Service"),
)
"""With those that the official provider waits for until workloads are there: a Service counts as ready with its endpoints."""
WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
"""Last: the API server asks whom they name, and that one must be there."""

TYPED: Mapping[str, str] = {
    "v1": "core.v1",
    "admissionregistration.k8s.io/v1": "admissionregistration.v1",
    "apiextensions.k8s.io/v1": "apiextensions.v1",
    "apps/v1": "apps.v1",
    "autoscaling/v2": "autoscaling.v2",
    "batch/v1": "batch.v1",
    "coordination.k8s.io/v1": "coordination.v1",
    "discovery.k8s.io/v1": "discovery.v1",
    "networking.k8s.io/v1": "networking.v1",
    "policy/v1": "policy.v1",
    "rbac.authorization.k8s.io/v1": "rbac.v1",
    "scheduling.k8s.io/v1": "scheduling.v1",
    "storage.k8s.io/v1": "storage.v1",
}
"""API versions to the modules of pulumi_kubernetes that have their classes; each is imported when an object needs it."""
OF_CUSTOM_RESOURCES = {"apiVersion", "kind", "metadata", "spec", "status"}
"""Fields of an object that pulumi_kubernetes has no class of its own for."""

Manifest = Mapping[str, Any]
Key = tuple[str, str, str]
"""Kind, namespace (empty: none is named) and name of an object."""


def have_plugin(root: Path, choice: Literal["official", "double"]) -> None:
    """Have the provider that an environment chooses (``sources.pulumi_plugins``), before Pulumi looks for it. ``root``: the
    project's. Raises :class:`subprocess.CalledProcessError`; the reason was printed."""
    command = [str(root / "tools" / "kubernetes-plugin"), choice]
    subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, check=True)


def provider(
    kubeconfig: pulumi.Input[str],
    name: str = "cluster",
    *,
    force: bool = True,
    opts: pulumi.ResourceOptions | None = None,
) -> Provider:
    """The provider of a cluster. ``kubeconfig``: path or contents of a login; a path keeps its keys out of the state.

    Objects that are there are taken over, and so are fields that others have changed, as by the role ``kubernetes``: what a
    program says holds. With ``force=False`` fields that others own are told as a conflict. ConfigMaps and Secrets are changed
    in place.
    """
    return Provider(
        name,
        kubeconfig=kubeconfig,
        enable_server_side_apply=True,
        enable_patch_force=force,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        upsert_existing_objects=True,
        opts=opts,
    )


def managed(metadata: Manifest) -> dict[str, Any]:
    """An object's metadata with the field manager that applies it."""
    annotations = {**(metadata.get("annotations") or {}), MANAGER_ANNOTATION: FIELD_MANAGER}
    return {**metadata, "annotations": annotations}


class ClusterObjects(pulumi.ComponentResource):
    """Objects by their manifests, as YAML has them, in the order in which they need each other: definitions and namespaces,
    then what workloads use, workloads (which are waited for until they are ready), webhooks. They go in the opposite order.

    ``goes_with``: the resource with which the whole cluster goes; when it is destroyed, objects are not deleted one by one.
    Raises :class:`pulumi.RunError` naming the manifest that is no object or stands twice, before anything is registered.
    """

    def __init__(
        self,
        name: str,
        *,
        manifests: Sequence[Manifest],
        provider: Provider,
        goes_with: pulumi.Resource | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("meshwright:index:ClusterObjects", name, None, opts)
        refuse(manifests)
        self.objects: dict[Key, pulumi.CustomResource] = {}
        """The cluster's objects."""
        before: list[pulumi.Resource] = []
        for stage in stages(manifests):
            options = pulumi.ResourceOptions(
                parent=self, provider=provider, depends_on=list(before), deleted_with=goes_with
            )
            made = {key_of(manifest): _object(manifest, options) for manifest in stage}
            self.objects |= made
            before = [*before, *made.values()]
        self.register_outputs({"objects": sorted(title(manifest) for manifest in manifests)})


def key_of(manifest: Manifest) -> Key:
    """How an object is told from others."""
    metadata = manifest["metadata"]
    return str(manifest["kind"]), str(metadata.get("namespace") or ""), str(metadata["name"])


def title(manifest: Manifest) -> str:
    """``KIND NAMESPACE/NAME`` or ``KIND NAME``; the name of its resource."""
    kind, namespace, name = key_of(manifest)
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def refuse(manifests: Sequence[Manifest]) -> None:
    """Raises :class:`pulumi.RunError` for what is no object, and for objects that stand twice."""
    seen: set[tuple[str, str]] = set()
    for place, manifest in enumerate(manifests):
        for path in ("apiVersion", "kind", "metadata.name"):
            found: Any = manifest
            for part in path.split("."):
                found = found.get(part) if isinstance(found, Mapping) else None
            if not isinstance(found, str) or not found:
                raise pulumi.RunError(f"manifests[{place}] ({manifest.get('kind', 'no kind')}): {path} is missing")
        identity = (str(manifest["apiVersion"]).partition("/")[0], title(manifest))
        if identity in seen:
            raise pulumi.RunError(f"manifests[{place}]: {title(manifest)} stands twice")
        seen.add(identity)
        more = sorted(manifest.keys() - OF_CUSTOM_RESOURCES)
        if more and manifest["apiVersion"] not in TYPED:
            raise pulumi.RunError(f"manifests[{place}]: {title(manifest)}: {more[0]} cannot be given (allowed: spec)")


def stages(manifests: Sequence[Manifest]) -> Iterator[list[Manifest]]:
    """The manifests in groups, each of which needs those before it; none is empty."""
    ordered: tuple[list[Manifest], ...] = ([], [], [], [])
    for manifest in manifests:
        kind = manifest["kind"]
        if kind in DEFINITIONS:
            ordered[0].append(manifest)
        elif kind in WORKLOADS:
            ordered[2].append(manifest)
        elif kind in WEBHOOKS:
            ordered[3].append(manifest)
        else:
            ordered[1].append(manifest)
    return (stage for stage in ordered if stage)


def _object(manifest: Manifest, options: pulumi.ResourceOptions) -> pulumi.CustomResource:
    """The resource of an object: of its own class, or a custom one."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    metadata = managed(manifest["metadata"])
    module = importlib.import_module(f"pulumi_kubernetes.{TYPED[version]}") if version in TYPED else None
    made: pulumi.CustomResource
    if module is None or not hasattr(module, kind):
        made = CustomResource(
            title(manifest),
            api_version=version,
            kind=kind,
            metadata=metadata,
            spec=manifest.get("spec"),
            opts=options,
        )
    else:
        secret = (version, kind) == ("v1", "Secret")
        content = {
            _argument(name): pulumi.Output.secret(value) if secret and name in ("data", "stringData") else value
            for name, value in manifest.items()
            if name not in ("apiVersion", "kind", "metadata", "status")
        }
        try:
            made = getattr(module, kind)(title(manifest), metadata=metadata, **content, opts=options)
        except TypeError as error:
            raise pulumi.RunError(f"{title(manifest)}: {error}") from None
    return made


def _argument(field: str) -> str:
    """The name of a class's argument for a field of the object: ``roleRef`` is ``role_ref``."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", field).lower()
