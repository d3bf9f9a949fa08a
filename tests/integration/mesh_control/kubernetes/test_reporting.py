"""What objects of a real API server are told about themselves, by the one replica that leads and with no right too many."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mesh_control.control import Control
from mesh_control.settings import Kubernetes
from mesh_control.sources.directory import PolicyDirectory
from mesh_control.sources.kubernetes import rbac, wiring
from mesh_control.sources.kubernetes.api import ApiError
from mesh_control.sources.kubernetes.election import Election
from mesh_control.sources.kubernetes.reporting import Reporter
from mesh_control.state import State
from tests.integration.mesh_control.kubernetes.watched import poll, watching
from tests.support import kube_apiserver
from tests.support.kube_apiserver import CONTROL, STRANGER, SUBJECT, Client, Server, path_of
from tests.unit.mesh_control.sources.kubernetes.clusters import Value, service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(2400)]  # the programs' first build


def host_rule(name: str, *subsets: str) -> Value:
    spec = {"host": "books", "subsets": [{"name": subset, "labels": {"version": subset}} for subset in subsets]}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": metadata, "spec": spec}


@dataclass
class Replica:
    control: Control
    reporter: Reporter
    tasks: list["asyncio.Task[None]"]

    async def kill(self) -> None:
        """As a process that is gone without a word: nothing of it is asked for a last one."""
        self.reporter.leader.election = Election("nobody")
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@asynccontextmanager
async def replica(
    server: Server, folder: Path, identity: str, bundle: Callable[[], str] | None = None
) -> AsyncIterator[Replica]:
    settings = Kubernetes(kubeconfig=server.kubeconfig(CONTROL), lease_namespace="default", identity=identity)
    control = Control(
        State(PolicyDirectory(folder / identity), (wiring.cluster_of(settings, gives_roots=bundle is not None),))
    )
    reporter = wiring.reporter_of(control, settings, bundle or str)
    assert reporter is not None
    reporter.look = reporter.leader.retry = 0.05
    work = control.run(), reporter.cluster.watch(control.touch), reporter.run()
    made = Replica(control, reporter, [asyncio.create_task(one) for one in work])
    try:
        yield made
    finally:
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)


@pytest.fixture
async def rights(client: Client, istio_kinds: None) -> None:
    await client.apply(*rbac.manifests(SUBJECT, "default"))


def said(value: Value) -> dict[str, tuple[str, str]]:
    conditions = value.get("status", {}).get("conditions", ())
    return {condition["type"]: (condition["status"], condition["reason"]) for condition in conditions}


DONE = {"Accepted": ("True", "Accepted"), "Programmed": ("True", "Programmed"), "Reconciled": ("True", "Programmed")}


async def test_a_policy_is_told_what_became_of_it(server: Server, client: Client, rights: None, tmp_path: Path) -> None:
    good, broken = host_rule("told", "v1"), host_rule("told", "v1", "v1")
    async with replica(server, tmp_path, "one"):
        await client.apply(good)
        found = await poll(lambda: client.get(good), lambda value: said(value) == DONE)
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
        assert found["status"]["conditions"][1]["message"] == "acknowledged by 0 of 0 proxies"
        managers = {
            entry["manager"] for entry in found["metadata"]["managedFields"] if entry.get("subresource") == "status"
        }
        assert managers == {"meshwright"}

        await client.apply(broken)
        found = await poll(lambda: client.get(good), lambda value: said(value).get("Accepted") == ("False", "Invalid"))
        assert "'v1' stands twice; what it said before stays in force" in found["status"]["conditions"][0]["message"]
        events = await poll(lambda: events_of(client, "told"), bool)
        assert [(event["type"], event["reason"], event["source"]["component"]) for event in events] == [
            ("Warning", "Invalid", "meshwright")
        ]
        await client.apply(good)
        await poll(lambda: client.get(good), lambda value: said(value) == DONE)
        both = await poll(lambda: events_of(client, "told"), lambda events: len(events) == 2)
        assert {event["reason"] for event in both} == {"Invalid", "Accepted"}
        await client.delete(good)


async def events_of(client: Client, name: str) -> list[Any]:
    query = {"fieldSelector": f"involvedObject.name={name}"}
    found = await client.api.request("GET", "/api/v1/namespaces/default/events", query=query)
    return list(found["items"])


async def test_one_of_two_leads_and_the_other_takes_over_when_it_dies(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": rbac.LEASE}}
    async with replica(server, tmp_path, "first") as first, replica(server, tmp_path, "second") as second:

        async def leading() -> list[Replica]:
            return [one for one in (first, second) if one.reporter.leader.leads]

        leaders = await poll(leading, bool)
        assert len(leaders) == 1
        other = second if leaders[0] is first else first
        held = await client.get(lease)
        await leaders[0].kill()
        assert not other.reporter.leader.leads
        # To the other replica no more time may go by than the test has: its clock runs ahead instead.
        clock = other.reporter.leader.clock
        other.reporter.leader.clock = lambda: clock() + 20
        name = other.reporter.leader.election.identity
        await poll(lambda: client.get(lease), lambda value: value["spec"]["holderIdentity"] == name)
        taken = await client.get(lease)
        assert taken["spec"]["leaseTransitions"] == held["spec"]["leaseTransitions"] + 1
        rule = host_rule("after", "v1")
        await client.apply(rule)
        await poll(lambda: client.get(rule), lambda value: said(value) == DONE)
        await client.delete(rule)


async def test_who_ends_in_order_leaves_the_lease_to_the_next(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": rbac.LEASE}}
    async with replica(server, tmp_path, "orderly") as one:
        one.reporter.leader.clock = (lambda clock: lambda: clock() + 20)(one.reporter.leader.clock)
        await poll(lambda: client.get(lease), lambda value: value["spec"].get("holderIdentity") == "orderly")
    assert not (await client.get(lease))["spec"].get("holderIdentity")


async def test_what_may_not_be_read_is_told_and_nothing_counts_as_known(server: Server, istio_kinds: None) -> None:
    async with watching(server, token=STRANGER) as watched:
        parts = await watched.told(lambda parts: any("services" in problem for problem in parts.problems))
        assert not watched.source.synced
        assert any("forbidden" in problem and "they are waited for" in problem for problem in parts.problems)


async def test_no_right_is_too_many(server: Server, client: Client, rights: None) -> None:
    await client.apply(host_rule("mine", "v1"), service("some", clusterIP="10.96.7.77"))
    async with kube_apiserver.client(server, CONTROL) as control:
        for method, path in (
            ("GET", "/api/v1/secrets"),
            ("GET", "/api/v1/configmaps"),
            ("DELETE", path_of(host_rule("mine"))),
            ("DELETE", path_of(service("some"))),
            ("GET", "/apis/coordination.k8s.io/v1/namespaces/default/leases/another"),
        ):
            with pytest.raises(ApiError) as refused:
                await control.api.request(method, path)
            assert refused.value.status == 403, path
    await client.delete(host_rule("mine"), service("some"))


def roots_of(namespace: str) -> Value:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio-ca-root-cert", "namespace": namespace}}


async def test_the_roots_stand_in_every_namespace_and_are_mended(
    server: Server, client: Client, rights: None, tmp_path: Path
) -> None:
    fresh = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "with-roots"}}
    told = ["FIRST"]

    async def given(namespace: str) -> Any:
        path = path_of(roots_of(namespace)).rpartition("/")[0]
        found = await client.api.request("GET", path, query={"fieldSelector": "metadata.name=istio-ca-root-cert"})
        return found["items"][0]["data"] if found["items"] else {}

    async with replica(server, tmp_path, "one", lambda: told[0]) as one:
        for namespace in ("default", "kube-system"):
            await poll(lambda place=namespace: given(place), lambda data: data == {"root-cert.pem": "FIRST"})  # type: ignore[misc]
        await client.apply(fresh)
        await poll(lambda: given("with-roots"), lambda data: data == {"root-cert.pem": "FIRST"})
        await client.apply({**roots_of("with-roots"), "data": {"root-cert.pem": "FORGED", "beside": "of others"}})
        await poll(lambda: given("with-roots"), lambda data: data == {"root-cert.pem": "FIRST", "beside": "of others"})
        await client.delete(roots_of("default"))
        await poll(lambda: given("default"), bool)
        told[0] = "FIRST AND SECOND"
        for namespace in ("default", "with-roots"):
            await poll(lambda place=namespace: given(place), lambda data: data["root-cert.pem"] == told[0])  # type: ignore[misc]
        await client.delete(fresh)  # nobody ends it here: it stays as one that is being deleted
        await client.delete(roots_of("with-roots"))
        await client.delete(roots_of("default"))
        await poll(lambda: given("default"), bool)
        assert await given("with-roots") == {}
        assert not one.reporter.problems()
    for namespace in ("default", "kube-system"):
        await client.delete(roots_of(namespace))
