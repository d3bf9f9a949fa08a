"""The live source against a real API server: what appears, changes and vanishes, and what comes of it when that ends."""

import base64
from contextlib import suppress
from typing import Any

import pytest

from mesh_api.xds.session import Request
from mesh_api.xds.type_urls import SECRET
from mesh_control.secrets.desk import Desk
from mesh_control.sources.kubernetes import rbac
from mesh_control.sources.kubernetes.resources import DEFINITIONS
from mesh_control.sources.source import Parts
from mesh_control.world import World
from mesh_policy.schema.crds import definitions
from tests.integration.mesh_control.kubernetes.watched import watching
from tests.support.kube_apiserver import ADMIN, CONTROL, SUBJECT, Client, Server
from tests.unit.mesh_control.sources.kubernetes.clusters import Value, endpoint, endpoint_slice, pod, service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build


def names(parts: Parts) -> set[str]:
    return {found.name for found in parts.services}


def kinds(parts: Parts) -> set[str]:
    return {f"{policy.kind} {policy.metadata.name}" for policy in parts.policies}


def rule(name: str, host: str = "books", **spec: Any) -> Value:
    metadata = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": metadata,
        "spec": {"host": host, **spec},
    }


def definition(kind: str) -> Value:
    return next(found for found in definitions() if found["spec"]["names"]["kind"] == kind)


async def books(client: Client, address: str = "10.244.0.1", **conditions: bool) -> None:
    status = pod("books-0", address)["status"]
    made = pod("books-0", address, {"app": "books"}, spec={"containers": [{"name": "app", "image": "app"}]})
    del made["status"]
    await client.apply(service("books", clusterIP="10.96.7.7"), made)
    path = "/api/v1/namespaces/default/pods/books-0/status"
    await client.api.request("PATCH", path, {"status": status}, content="application/merge-patch+json")
    await client.apply(
        endpoint_slice("books-1", "books", [endpoint("books-0", address, conditions=conditions or {"ready": True})])
    )


async def test_what_appears_changes_and_vanishes(server: Server, client: Client, istio_kinds: None) -> None:
    async with watching(server) as watched:
        # Its own service every cluster has; definitions that are new may take the server a moment.
        before = await watched.until(lambda parts: "kubernetes" in names(parts) and not parts.problems)
        assert before.policies == ()
        await books(client)
        await client.apply(rule("books"))
        parts = await watched.until(lambda p: any(s.endpoints for s in p.services if s.name == "books") and p.policies)
        (found,) = [s for s in parts.services if s.name == "books"]
        assert (found.addresses, [(w.name, w.address) for w in found.endpoints]) == (
            ("10.96.7.7",),
            [("books-0", "10.244.0.1")],
        )
        assert kinds(parts) == {"DestinationRule books"}

        await client.apply(rule("books", "other"))
        await watched.until(lambda p: [policy.spec.host for policy in p.policies] == ["other"])
        await books(client, ready=False, terminating=True)
        await watched.until(lambda p: not any(s.endpoints for s in p.services if s.name == "books"))
        await client.delete(rule("books"), service("books"))
        await watched.until(lambda p: not p.policies and "books" not in names(p))


async def test_only_the_namespaces_that_are_asked_for(server: Server, client: Client, istio_kinds: None) -> None:
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    elsewhere = service("elsewhere", clusterIP="10.96.7.9", metadata={"namespace": "other"})
    await client.apply(other, elsewhere, service("here", clusterIP="10.96.7.8"))
    async with watching(server, "other") as watched:
        assert names(await watched.until(lambda parts: parts.services)) == {"elsewhere"}
    await client.delete(elsewhere, service("here"))


async def test_a_kind_that_is_installed_later_and_taken_away_again(server: Server, client: Client) -> None:
    late = definition("Sidecar")
    with suppress(Exception):
        await client.delete(late)
    sidecar = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Sidecar",
        "metadata": {"name": "late", "namespace": "default"},
        "spec": {"egress": [{"hosts": ["./*"]}]},
    }
    async with watching(server) as watched:
        definitions_known = watched.source.mirrors[DEFINITIONS].typed
        await watched.until(lambda _: ("", late["metadata"]["name"]) not in definitions_known)
        await client.apply(late)
        await watched.until(lambda _: any(c.kind == "Sidecar" for c in watched.source.mirrors))
        await client.apply(sidecar)
        await watched.until(lambda parts: "Sidecar late" in kinds(parts))
        await client.delete(late)
        parts = await watched.until(lambda _: not any(c.kind == "Sidecar" for c in watched.source.mirrors))
        assert "Sidecar late" not in kinds(parts)


async def test_a_broken_policy_keeps_what_it_said_before_and_is_told(
    server: Server, client: Client, istio_kinds: None
) -> None:
    good = rule("fragile", subsets=[{"name": "v1", "labels": {"version": "v1"}}])
    broken = rule("fragile", subsets=[{"name": "v1", "labels": {"version": "v1"}}, {"name": "v1", "labels": {}}])
    async with watching(server) as watched:
        await client.apply(good)
        before = await watched.until(lambda parts: "DestinationRule fragile" in kinds(parts))
        await client.apply(broken)
        told = await watched.until(lambda parts: parts.problems)
        assert told.policies == before.policies
        (problem,) = told.problems
        assert problem.startswith("kubernetes: DestinationRule default/fragile: spec: subsets: 'v1' stands twice")
        assert problem.endswith("what it said before stays in force")
        await client.apply(good)
        await watched.until(lambda parts: not parts.problems)
        await client.delete(good)


async def test_a_server_that_is_killed_is_waited_for_and_what_changed_meanwhile_is_seen(
    server: Server, client: Client, istio_kinds: None
) -> None:
    async with watching(server) as watched:
        await client.apply(service("first", clusterIP="10.96.7.1"))
        await watched.until(lambda parts: "first" in names(parts))
        server.kill()
        cut = await watched.until(lambda parts: parts.problems)
        assert "first" in names(cut)
        assert "what is known of them stays" in cut.problems[0]
        server.start()
        await server.ready()
        await client.apply(service("second", clusterIP="10.96.7.2"))
        await client.delete(service("first"))
        parts = await watched.until(lambda parts: "second" in names(parts) and not parts.problems)
        assert "first" not in names(parts)
        await client.delete(service("second"))


async def test_an_etcd_that_forgot_is_listed_again(server: Server, client: Client, istio_kinds: None) -> None:
    async with watching(server) as watched:
        await client.apply(service("kept", clusterIP="10.96.7.3"), service("lost", clusterIP="10.96.7.4"))
        await watched.until(lambda parts: {"kept", "lost"} <= names(parts))
        server.kill()
        await watched.until(lambda parts: parts.problems)
        server.start()
        await server.ready()
        lists = sum(mirror.reflector.lists for mirror in watched.source.mirrors.values())
        await client.delete(service("lost"))
        for turn in range(3):
            await client.apply(service("kept", clusterIP="10.96.7.3", metadata={"labels": {"turn": str(turn)}}))
        await server.compact()
        server.kill()  # its cache of what changed goes with it
        server.start()
        await server.ready()
        await watched.until(lambda parts: "lost" not in names(parts) and "kept" in names(parts) and not parts.problems)
        assert sum(mirror.reflector.lists for mirror in watched.source.mirrors.values()) > lists
        await client.delete(service("kept"))


def gateway(name: str, credential: str) -> Value:
    server = {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": ["*"],
        "tls": {"mode": "SIMPLE", "credentialName": credential},
    }
    spec = {"selector": {"app": "edge"}, "servers": [server]}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec}


CERTIFICATE = "-----BEGIN CERTIFICATE-----"
KEY = "-----BEGIN PRIVATE KEY-----"


def secret(name: str) -> Value:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": CERTIFICATE, "tls.key": KEY},
    }


async def test_of_secrets_only_those_are_read_that_policies_name(
    server: Server, client: Client, istio_kinds: None
) -> None:
    """With no more than the right to read those of that name in that namespace."""
    secrets = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "edge-secrets"},
        "rules": rbac.secret_rules(["edge", "edge-cacert"]),
    }
    bound = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "edge-secrets"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "edge-secrets"},
        "subjects": [SUBJECT],
    }
    await client.apply(*rbac.manifests(SUBJECT, "default"), secrets, bound, secret("edge"), secret("unnamed"))
    await books(client)
    edge = {"metadata": {"labels": {"app": "edge"}}}
    path = "/api/v1/namespaces/default/pods/books-0"
    await client.api.request("PATCH", path, edge, content="application/merge-patch+json")
    async with watching(server, token=CONTROL) as watched:
        await client.apply(gateway("edge", "edge"))
        parts = await watched.until(lambda parts: parts.surroundings and parts.surroundings.certificates)
        assert parts.surroundings is not None
        assert parts.surroundings.certificates == {"default/edge"}
        await client.delete(secret("edge"))
        await watched.until(lambda parts: parts.surroundings and not parts.surroundings.certificates)
        await client.apply(gateway("edge", "unnamed"))
        await watched.until(lambda parts: any("secrets of default" in problem for problem in parts.problems))
        await client.delete(gateway("edge", "unnamed"))
        await watched.until(lambda parts: not parts.problems)
    await client.delete(secret("unnamed"), service("books"))


async def test_roots_of_a_config_map_are_there_for_proxies_that_are_told_its_name(
    server: Server, client: Client, istio_kinds: None
) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "roots"}}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "roots"}
    authority = (server.folder / "certificates" / "apiserver.crt").read_text()
    roots = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "roots", "namespace": "default"}}
    await client.apply(
        *rbac.manifests(SUBJECT, "default"),
        {**role, "kind": "Role", "rules": rbac.config_map_rules(["roots"])},
        {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": [SUBJECT]},
        {**roots, "data": {"ca.crt": authority}},
    )
    name = "configmap://default/roots-cacert"
    named = rule("api", "api.example.com", trafficPolicy={"tls": {"mode": "SIMPLE", "credentialName": name}})
    async with watching(server, token=CONTROL) as watched:
        assert watched.source.content("ConfigMap", "default", "roots") is None
        await client.apply(named)
        await watched.until(lambda parts: watched.source.content("ConfigMap", "default", "roots"))
        assert watched.source.content("ConfigMap", "default", "roots") == {"ca.crt": authority.encode()}
        world = World.of(policies=watched.source.read().policies)
        desk = Desk((watched.source,))
        request = Request(SECRET, resource_names=(name,))
        who = ("spiffe://cluster.local/ns/elsewhere/sa/any",)
        (answer,) = await desk.on_request("one", request, "any", who, world, delta=False)
        assert [found for found, _ in answer.resources] == [name]
        await client.delete(named)
        await watched.until(lambda parts: watched.source.content("ConfigMap", "default", "roots") is None)
    await client.delete(roots)


async def test_no_secret_is_shown_where_things_are_shown(
    server: Server, client: Client, istio_kinds: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    await books(client)
    edge = {"metadata": {"labels": {"app": "edge"}}}
    path = "/api/v1/namespaces/default/pods/books-0"
    await client.api.request("PATCH", path, edge, content="application/merge-patch+json")
    known = ("a-very-secret-text", base64.b64encode(KEY.encode()).decode(), KEY, ADMIN)
    value = secret("edge")
    value["stringData"] = {**value["stringData"], "password": known[0]}
    async with watching(server) as watched:
        await client.apply(value, gateway("edge", "edge"))
        parts = await watched.until(lambda parts: parts.surroundings and parts.surroundings.certificates)
        source = watched.source
        assert source.content("Secret", "default", "edge")
        desk = Desk((source,))
        who = ("spiffe://cluster.local/ns/default/sa/any",)
        await desk.on_request(
            "one", Request(SECRET, resource_names=("kubernetes://edge",)), "any", who, World(), delta=False
        )
        shown = [source, *source.mirrors.values(), *(m.reflector for m in source.mirrors.values()), parts, desk]
        assert any(collection.kind == "Secret" for collection in source.mirrors)
        for text in (*map(repr, shown), *map(str, shown), caplog.text):
            assert not [number for number, word in enumerate(known) if word in text]
        await client.delete(value, gateway("edge", "edge"), service("books"))


async def test_the_settings_of_the_mesh_are_those_of_its_config_map(
    server: Server, client: Client, istio_kinds: None
) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "default"}}
    async with watching(server, mesh=("default", "istio")) as watched:
        await watched.until(lambda parts: any("ConfigMap default/istio: is not there" in p for p in parts.problems))
        await client.apply({**settings, "data": {"mesh": "trustDomain: first.example"}})
        await watched.until(lambda parts: parts.mesh and parts.mesh.trust_domain == "first.example")
        await client.apply({**settings, "data": {"mesh": "trustDomain: []"}})
        told = await watched.until(lambda parts: parts.problems)
        assert told.mesh is not None
        assert told.mesh.trust_domain == "first.example"
        assert "default/istio: mesh:1: trustDomain: must be text" in told.problems[0]
        await client.delete(settings)
