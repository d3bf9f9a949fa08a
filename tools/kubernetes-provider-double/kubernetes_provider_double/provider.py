"""The provider: what the engine asks, answered by a cluster."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from pulumi.provider.experimental import provider as protocol
from pulumi.provider.experimental.property_value import PropertyValue

from kubernetes_provider_double import difference, documents, kubeconfig, manifests, objects, ownership, settings
from kubernetes_provider_double.api import Api
from kubernetes_provider_double.cluster import Applied, Cluster
from kubernetes_provider_double.errors import ApiError, NotReadyError, ProviderError, UnreachableError
from kubernetes_provider_double.unknown import has_unknown
from kubernetes_provider_double.values import Properties, plain_map, wrapped, wrapped_map

READY_SECONDS = 600.0
"""Unless ``customTimeouts`` or ``pulumi.com/timeoutSeconds`` say otherwise; the real provider's for most kinds."""


class InitialisationError(ProviderError):
    """An object was applied and did not become ready: the state keeps it, with the reason."""

    def __init__(self, message: str, identifier: str, state: dict[str, PropertyValue], inputs: Properties) -> None:
        super().__init__(message)
        self.identifier = identifier
        self.state = state
        self.inputs = dict(inputs)


class KubernetesDouble(protocol.Provider):
    """Server-side apply of any ``kubernetes:GROUP/VERSION:KIND``."""

    def __init__(self) -> None:
        self._settings = settings.Settings()
        self._cluster: Cluster | None = None
        self._unreachable = "it is not configured"

    async def get_schema(self, request: protocol.GetSchemaRequest) -> protocol.GetSchemaResponse:
        """None: programs have the types by their package."""
        return protocol.GetSchemaResponse("{}")

    async def check_config(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        """Options that the double does not know are refused before anything is made."""
        settings.parse(plain_map(request.new_inputs))
        return protocol.CheckResponse(request.new_inputs)

    async def diff_config(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        """Another option is an update: the objects stay."""
        old, new = plain_map(request.old_state), plain_map(request.new_inputs)
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        return protocol.DiffResponse(changes=bool(changed), diffs=changed)

    async def configure(self, request: protocol.ConfigureRequest) -> protocol.ConfigureResponse:
        """A cluster that cannot be reached is told when it is needed: in a preview it may yet have to be made."""
        self._settings = settings.parse(plain_map(request.args), os.environ)
        try:
            self._cluster = await self._reach(self._settings)
        except (UnreachableError, ApiError) as error:
            self._unreachable = str(error)
        return protocol.ConfigureResponse(
            accept_secrets=True, supports_preview=True, accept_outputs=False, accept_resources=False
        )

    @staticmethod
    async def _reach(chosen: settings.Settings) -> Cluster:
        if chosen.unknown:
            raise UnreachableError("its kubeconfig is not known yet")
        login = kubeconfig.read(chosen.kubeconfig, chosen.context, chosen.cluster)
        api = Api(login)
        try:
            await api.hello()
        except ApiError:
            await api.close()
            raise
        return Cluster(api, chosen.namespace or login.namespace)

    def _there(self) -> Cluster:
        if self._cluster is None:
            raise UnreachableError(
                f"the cluster cannot be reached: {self._unreachable}\n"
                f"If it is gone for good, {settings.DELETE_UNREACHABLE}=true takes its objects out of the state."
            )
        return self._cluster

    async def invoke(self, request: protocol.InvokeRequest) -> protocol.InvokeResponse:
        """What the first version of ``yaml`` asks for."""
        if request.tok != "kubernetes:yaml:decode":
            raise ProviderError(f"{request.tok} is not known to the test double of the provider")
        found = documents.documents(plain_map(request.args)["text"], "text")
        return protocol.InvokeResponse({"result": wrapped(found)})

    async def check(self, request: protocol.CheckRequest) -> protocol.CheckResponse:
        """The inputs as they are kept: with a name and a namespace, and Secrets without ``stringData``."""
        given = plain_map(request.new_inputs)
        missing = [name for name in ("apiVersion", "kind") if not isinstance(given.get(name), str)]
        if missing:
            return protocol.CheckResponse({}, [protocol.CheckFailure(name, "is missing") for name in missing])
        reason = objects.refused(request.type.split("$")[-1], given["kind"])
        if reason:
            raise ProviderError(reason)
        before = plain_map(request.old_inputs or {})
        value = objects.named(
            objects.normal(given), before, request.name, request.random_seed or secrets.token_bytes(8)
        )
        resource = await self._cluster.kind(value) if self._cluster is not None else None
        if resource is not None and resource.namespaced and "namespace" not in value["metadata"]:
            value["metadata"] = {**value["metadata"], "namespace": self._there().namespace}
        return protocol.CheckResponse(_inputs(value, request.new_inputs), [])

    async def diff(self, request: protocol.DiffRequest) -> protocol.DiffResponse:
        """By inputs: what a refresh found of the cluster is in the old ones."""
        old, new = _old_inputs(request.old_state), plain_map(request.new_inputs)
        outer = difference.needs_new(new, self._settings.mutable)
        kinds: dict[str, protocol.PropertyDiff] = {}
        replaces = []
        for place, kind in difference.changes(old, new):
            if any(difference.within(place, ignored) for ignored in request.ignore_changes):
                continue
            new_one = any(difference.within(place, path) or difference.within(path, place) for path in outer)
            if new_one:
                replaces.append(place)
            name = f"{kind}_REPLACE" if new_one else kind
            kinds[place] = protocol.PropertyDiff(protocol.PropertyDiffKind[name], input_diff=True)
        same = old.get("metadata", {}).get("name") == new.get("metadata", {}).get("name") and (
            old.get("metadata", {}).get("namespace") == new.get("metadata", {}).get("namespace")
        )
        return protocol.DiffResponse(
            changes=bool(kinds),
            replaces=replaces,
            detailed_diff=kinds,
            diffs=sorted({place.partition(".")[0].partition("[")[0] for place in kinds}),
            delete_before_replace=bool(replaces) and same,
        )

    async def create(self, request: protocol.CreateRequest) -> protocol.CreateResponse:
        """Apply an object that is not there; one that is there is taken over where ``upsertExistingObjects`` says so."""
        value = plain_map(request.properties)
        if request.preview and not await self._foreseeable(value):
            return protocol.CreateResponse("", dict(request.properties))
        cluster = self._there()
        if not self._settings.upsert and await cluster.get(value) is not None:
            if request.preview:  # it may be what this same update deletes first
                return protocol.CreateResponse("", dict(request.properties))
            raise ProviderError(
                f"{objects.title(value)} already exists. Take it over with pulumi import, or set upsertExistingObjects of the"
                " provider."
            )
        manager = objects.annotation(value, objects.FIELD_MANAGER) or f"pulumi-kubernetes-{secrets.token_hex(4)}"
        try:
            live = await cluster.apply(value, self._how(value, manager, request.preview))
        except ApiError as error:
            # A namespace may come with the same update, and an object that must be replaced go with it.
            if request.preview and (error.status == 404 or (error.status == 422 and "immutable" in error.message)):
                return protocol.CreateResponse("", dict(request.properties))
            raise
        state = await self._settled(value, live, manager, request)
        return protocol.CreateResponse("" if request.preview else objects.identifier(live), state)

    async def update(self, request: protocol.UpdateRequest) -> protocol.UpdateResponse:
        """Apply an object again."""
        value = plain_map(request.news)
        if request.preview and not await self._foreseeable(value):
            return protocol.UpdateResponse(dict(request.news))
        manager = _manager(value, request.olds)
        live = await self._there().apply(value, self._how(value, manager, request.preview))
        return protocol.UpdateResponse(await self._settled(value, live, manager, request))

    async def read(self, request: protocol.ReadRequest) -> protocol.ReadResponse:
        """What the cluster holds of the inputs; nothing where the object is gone. Without inputs: all of it, to import."""
        if self._cluster is None and self._settings.delete_unreachable:
            return protocol.ReadResponse()
        inputs = plain_map(request.inputs or {})
        token = request.type.split("$")[-1]
        live = await self._there().get(
            inputs if inputs.get("metadata") else objects.of_identifier(token, request.resource_id)
        )
        if live is None:
            return protocol.ReadResponse()
        manager = _manager(inputs, request.properties)
        seen = ownership.drifted(inputs, live, manager) if inputs.get("metadata") else objects.importable(live)
        kept = _inputs(seen, request.inputs or {})
        return protocol.ReadResponse(objects.identifier(live), _state(live, kept, manager), kept)

    async def delete(self, request: protocol.DeleteRequest) -> None:
        """Delete an object and wait until it is gone."""
        if self._cluster is None and self._settings.delete_unreachable:
            return
        value = plain_map(request.properties)
        await self._there().delete(value, request.timeout or _seconds(value))

    async def construct(self, request: protocol.ConstructRequest) -> protocol.ConstructResponse:
        """The components of ``yaml/v2``."""
        return await manifests.construct(request)

    async def cancel(self) -> None:
        """What is waited for is given up; requests that are under way come to their end."""
        if self._cluster is not None:
            self._cluster.cancel()

    async def _foreseeable(self, value: objects.Object) -> bool:
        """Whether a preview can ask the server about an object."""
        if self._cluster is None or has_unknown(value):
            return False
        return await self._cluster.kind(value) is not None

    def _how(self, value: Mapping[str, Any], manager: str, dry_run: bool) -> Applied:
        said = objects.annotation(value, objects.PATCH_FORCE)
        return Applied(manager, said == "true" if said else self._settings.patch_force, dry_run)

    async def _settled(
        self,
        value: objects.Object,
        live: objects.Object,
        manager: str,
        request: protocol.CreateRequest | protocol.UpdateRequest,
    ) -> dict[str, PropertyValue]:
        """The state of an object that was applied, once it is ready."""
        given = request.properties if isinstance(request, protocol.CreateRequest) else request.news
        if request.preview:
            return _state({name: part for name, part in live.items() if name != "status"}, given, manager)
        if objects.annotation(value, objects.SKIP_AWAIT) != "true":
            try:
                live = await self._there().ready(live, request.timeout or _seconds(value))
            except NotReadyError as error:
                state = _state(error.live, given, manager)
                raise InitialisationError(str(error), objects.identifier(live), state, given) from None
        return _state(live, given, manager)


def _seconds(value: Mapping[str, Any]) -> float:
    said = objects.annotation(value, objects.TIMEOUT_SECONDS)
    return float(said) if said.isdigit() else READY_SECONDS


def _manager(value: Mapping[str, Any], state: Properties) -> str:
    """The field manager of an object that is there."""
    said = objects.annotation(value, objects.FIELD_MANAGER)
    kept = state.get("__fieldManager")
    return said or (str(kept.value) if kept is not None else "pulumi-kubernetes")


def _old_inputs(state: Properties) -> dict[str, Any]:
    kept = state.get("__inputs")
    return plain_map(kept.value) if kept is not None and isinstance(kept.value, Mapping) else {}


def _inputs(value: Mapping[str, Any], marks: Properties) -> dict[str, PropertyValue]:
    """Inputs for the protocol. A Secret's content is secret, whatever the program said of it."""
    made = wrapped_map(value, marks)
    if value.get("apiVersion") == "v1" and value.get("kind") == "Secret" and "data" in made:
        made["data"] = made["data"].with_secret(True)
    return made


def _state(live: Mapping[str, Any], inputs: Properties, manager: str) -> dict[str, PropertyValue]:
    """The state of an object: what the server has, and by what inputs."""
    state = _inputs(objects.cleaned(live), inputs)
    state["__inputs"] = PropertyValue(dict(inputs))
    state["__fieldManager"] = PropertyValue(manager)
    state["__initialApiVersion"] = PropertyValue(str(live["apiVersion"]))
    return state
