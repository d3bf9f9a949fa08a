"""Objects of files: what a cluster would have made of them is made up, and what stands among them counts."""

from mesh_control.sources.kubernetes import manifests
from mesh_control.world import World
from tests.unit.mesh_control.sources.kubernetes.clusters import Value, endpoint, endpoint_slice, pod, service

HOST = "books.default.svc.cluster.local"


def deployment(name: str, replicas: int = 1, **ports: int) -> Value:
    containers = [{"name": "app", "ports": [{"name": key, "containerPort": port} for key, port in ports.items()]}]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "template": template},
    }


def world(*values: Value) -> World:
    found = manifests.parts(values)
    return World.of(found.services, found.workloads)


def test_a_deployment_serves_what_selects_it() -> None:
    named = service(
        "books", [{"name": "http", "port": 80, "targetPort": "web"}, {"name": "tcp", "port": 90}], clusterIP=""
    )
    made = world(named, deployment("books", web=8080), deployment("none", replicas=0))
    (member,) = made.members[HOST]
    ports = made.service_by_host[HOST].ports
    assert ([member.port(port) for port in ports], member.address[:8]) == ([8080, 90], "240.241.")
    assert made.service_by_host[HOST].addresses == ("240.240.0.1",)


def test_a_port_whose_name_no_container_has_is_not_served() -> None:
    made = world(service("books", [{"name": "http", "port": 80, "targetPort": "web"}]), deployment("books"))
    assert [member.port(port) for member in made.members[HOST] for port in made.service_by_host[HOST].ports] == [0]


def test_slices_among_the_objects_count() -> None:
    listed = endpoint_slice("books-1", "books", [endpoint("books-0", "10.0.0.1")])
    made = world(service("books"), deployment("books"), listed, pod("books-0", "10.0.0.1"))
    assert [(w.name, w.address) for w in made.members[HOST]] == [("books-0", "10.0.0.1")]


def test_endpoints_count_where_no_slice_does() -> None:
    subset = {
        "addresses": [{"ip": "192.0.2.1"}],
        "notReadyAddresses": [{"ip": "192.0.2.2"}],
        "ports": [{"name": "http", "port": 99}],
    }
    older = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "books", "namespace": "default"},
        "subsets": [subset],
    }
    assert [(w.address, w.health.value) for w in world(service("books"), older).members[HOST]] == [
        ("192.0.2.1", "HEALTHY"),
        ("192.0.2.2", "UNHEALTHY"),
    ]
    listed = endpoint_slice("books-1", "books", [endpoint("", "192.0.2.9")])
    assert [w.address for w in world(service("books"), older, listed).members[HOST]] == ["192.0.2.9"]


def test_a_name_for_another_service_is_its_alias() -> None:
    alias = service("old", type="ExternalName", externalName=HOST)
    outside = service("www", type="ExternalName", externalName="www.example.com")
    found = World.of(manifests.parts([service("books"), alias, outside]).services)
    assert [item.aliases for item in found.services] == [(("old.default.svc.cluster.local", "default"),)]
    assert [item.stands_for for item in found.aliases] == [HOST, "www.example.com"]
