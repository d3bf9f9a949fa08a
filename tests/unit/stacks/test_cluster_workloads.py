"""The workloads of an environment as objects of a cluster, and what Ansible gets of them."""

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from ansible.template import Templar, trust_as_template

from stacks import ansible_inventory, cluster_workloads, policy_objects
from stacks.environment import Environment, InvalidEnvironmentError, parse
from stacks.environments import ENVIRONMENTS, book_store, laptop, local, local_kubernetes
from tests.support.modules import ansible_module

ENVIRONMENT = local_kubernetes.ENVIRONMENT
Objects = dict[tuple[str, str], dict[str, Any]]


def of(**changes: Any) -> Environment:
    return parse(ENVIRONMENT, changes)


def made(environment: Environment = ENVIRONMENT, **given: Any) -> Objects:
    found = cluster_workloads.manifests(environment, **given)
    objects = {(each["kind"], each["metadata"]["name"]): each for each in found}
    assert len(objects) == len(found)
    return objects


def pods(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and template of every pod."""
    for (kind, name), each in objects.items():
        if kind in ("Deployment", "StatefulSet"):
            yield name, each["spec"]["template"]


def test_names_are_those_on_machines() -> None:
    objects = made()
    for service in ENVIRONMENT.services:
        found = objects["Service", service.name]
        assert found["metadata"]["namespace"] == service.namespace
        assert found["spec"]["selector"] == service.labels
        ports = [(port["name"], port["port"], port["targetPort"]) for port in found["spec"]["ports"]]
        assert ports == [(port.name, port.port, port.port) for port in service.ports]
    database = objects["Service", "postgres"]["spec"]
    assert [(port["name"], port["port"]) for port in database["ports"]] == [("tcp-postgres", 5432)]
    books = objects["Deployment", "book-store-v2"]
    labels = books["spec"]["template"]["metadata"]["labels"]
    assert (labels["app"], labels["version"]) == ("book-store", "v2")
    assert books["spec"]["selector"]["matchLabels"].items() <= labels.items()
    accounts = {name for kind, name in objects if kind == "ServiceAccount"}
    assert accounts == {*(service.name for service in ENVIRONMENT.services), "postgres"}
    # By which an AuthorizationPolicy of the scenario `authentication` knows it.
    assert objects["Deployment", "warranty"]["spec"]["template"]["spec"]["serviceAccountName"] == "warranty"


def test_selectors_of_two_deployments_never_choose_the_same_pods() -> None:
    twice = [w.model_dump(mode="json") | {"name": name} for name in ("a", "b") for w in ENVIRONMENT.workloads[:1]]
    objects = made(of(workloads=twice))
    first = objects["Deployment", "a"]["spec"]["selector"]["matchLabels"]
    assert not first.items() <= objects["Deployment", "b"]["spec"]["template"]["metadata"]["labels"].items()


def test_the_namespace_is_injected_and_the_database_is_not() -> None:
    objects = made()
    assert objects["Namespace", "default"]["metadata"]["labels"] == {"istio-injection": "enabled"}
    refused = [
        name
        for name, pod in pods(objects)
        if pod["metadata"]["labels"].get("sidecar.istio.io/inject", "true") == "false"
    ]
    assert refused == ["postgres"]


def test_pods_are_confined() -> None:
    for name, template in pods(made()):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {"readinessProbe", "livenessProbe"} <= container.keys()


def test_programs_are_told_what_they_are_told_on_machines() -> None:
    objects = made()
    (books,) = objects["Deployment", "book-store-v2"]["spec"]["template"]["spec"]["containers"]
    assert books["args"] == ["book-store"]
    assert {each["name"]: each["value"] for each in books["env"]} == {
        "BIND": "0.0.0.0",
        "PORT": "8080",
        "VERSION": "v1.2-break-ping",
    }
    (store,) = objects["Deployment", "store"]["spec"]["template"]["spec"]["containers"]
    variables = {each["name"]: each["value"] for each in store["env"]}
    assert variables["DATABASE_URL_FILE"] == f"{store['volumeMounts'][0]['mountPath']}/url"


def test_a_password_stands_in_the_secret_alone() -> None:
    password = "p/w:@'\"§"
    found = cluster_workloads.secret(ENVIRONMENT, password)
    values = {name: base64.b64decode(value).decode() for name, value in found["data"].items()}
    assert values["password"] == password
    url = urlsplit(values["url"])
    assert (url.scheme, url.username, url.hostname, url.port, url.path) == (
        "postgresql",
        "program",
        "postgres.default.svc.cluster.local",
        5432,
        "/services",
    )
    assert url.password == "p%2Fw%3A%40%27%22%C2%A7"
    for name, template in pods(made()):
        volumes = [volume for volume in template["spec"].get("volumes", ()) if "secret" in volume]
        keys = {item["key"] for volume in volumes for item in volume["secret"]["items"]}
        assert keys == (set() if name.startswith("book") else {"password"} if name == "postgres" else {"url"})
        assert all(volume["secret"]["defaultMode"] == 0o440 for volume in volumes)


def test_other_images_and_another_password_make_other_pods() -> None:
    def marks(name: str, **given: Any) -> dict[str, str]:
        found: dict[str, str] = dict(pods(made(**given)))[name]["metadata"].get("annotations", {})
        return found

    assert marks("store") == {}
    given = {"digests": {"demo": "sha256:1", "database": "sha256:2"}, "password_version": "7"}
    image, password = cluster_workloads.IMAGE_MARK, cluster_workloads.PASSWORD_MARK
    assert marks("store", **given) == {image: "sha256:1", password: "7"}
    assert marks("book-store-v1", **given) == {image: "sha256:1"}
    assert marks("postgres", **given) == {image: "sha256:2", password: "7"}


def test_ansible_and_pulumi_say_the_same_of_a_password() -> None:
    secrets = {"vault_join_token": "token", "vault_postgresql_password": "p/w:@'\"§"}
    variables = ansible_inventory.variables(ENVIRONMENT)
    found = variables["kubernetes_workloads_manifests"]
    database = next(each for each in found if each["kind"] == "StatefulSet")
    ansible = Templar(loader=None, variables=secrets)
    said = ansible.template(
        trust_as_template(database["spec"]["template"]["metadata"]["annotations"][cluster_workloads.PASSWORD_MARK])
    )
    assert said == cluster_workloads.password_version(secrets)
    url = ansible.template(trust_as_template(variables["kubernetes_workloads_database_url"]))
    sealed = cluster_workloads.secret(ENVIRONMENT, secrets["vault_postgresql_password"])
    assert url == base64.b64decode(sealed["data"]["url"]).decode()
    of_machines = ansible_inventory.variables(local.ENVIRONMENT)
    known = {**secrets, "postgresql_url_password": trust_as_template(of_machines["postgresql_url_password"])}
    ansible = Templar(loader=None, variables=known)
    assert ansible.template(trust_as_template(of_machines["workload_database_url"])) == url
    assert cluster_workloads.password_version(secrets | {"vault_postgresql_password": "other"}) != said


def test_data_is_kept_on_a_volume_where_there_is_a_class_of_them() -> None:
    without = made(of(postgresql={"storage_class": None}))["StatefulSet", "postgres"]["spec"]
    assert {"name": "data", "emptyDir": {"sizeLimit": "1024Mi"}} in without["template"]["spec"]["volumes"]
    assert "volumeClaimTemplates" not in without
    kept = made(of(postgresql={"storage_class": "local", "storage_mib": 256}))["StatefulSet", "postgres"]["spec"]
    (claim,) = kept["volumeClaimTemplates"]
    assert claim["metadata"]["name"] in [
        mount["name"] for mount in kept["template"]["spec"]["containers"][0]["volumeMounts"]
    ]
    assert claim["spec"]["storageClassName"] == "local"
    assert claim["spec"]["resources"]["requests"] == {"storage": "256Mi"}
    assert [volume["name"] for volume in kept["template"]["spec"]["volumes"]] == ["database"]


def test_images_are_of_the_repository_that_is_set() -> None:
    chosen = made(of(kubernetes={"mesh": {"repository": "registry.example:5000/mesh", "tag": "next"}}))
    found = {template["spec"]["containers"][0]["image"] for _name, template in pods(chosen)}
    assert found == {"registry.example:5000/mesh/demo:next", "registry.example:5000/mesh/database:next"}


def test_without_a_database_there_is_nothing_of_one() -> None:
    books = [w.model_dump(mode="json") for w in ENVIRONMENT.workloads if not w.database]
    environment = of(postgresql=None, workloads=books)
    assert cluster_workloads.images(environment) == ("demo",)
    assert not [name for _kind, name in made(environment) if name == "postgres"]
    assert cluster_workloads.rollouts(environment) == [
        "default/deployment/book-store-v1",
        "default/deployment/book-store-v2",
    ]
    with pytest.raises(ValueError, match="environment local-kubernetes has no database; set postgresql"):
        cluster_workloads.secret(environment, "password")


def test_every_environment_says_where_workloads_stand_or_leaves_it_to_the_cluster() -> None:
    values = ENVIRONMENT.model_dump(mode="json", exclude_unset=True)
    with pytest.raises(InvalidEnvironmentError) as refused:
        parse(values, {"platform": "machines"})
    assert "environment.workloads.store.machine: is required (allowed: node1, node2, node3)" in str(refused.value)
    # The names of machines are of no use in a cluster, and of no harm.
    nodes = [{"name": "one", "address": "10.77.0.11"}]
    assert parse(local.ENVIRONMENT, {"platform": "kubernetes", "machines": {"nodes": nodes}}).workloads


def test_ansible_gets_the_objects_with_expressions_for_what_only_a_run_knows() -> None:
    inventory = ansible_inventory.inventory(ENVIRONMENT)["all"]
    assert set(inventory["children"]) == {"kubernetes_control", "kubernetes_workers"}
    assert all("mesh_proxy_instances" not in host for host in inventory["hosts"].values())
    shared = inventory["vars"]
    assert shared["kubernetes_workloads_images"] == ["demo", "database"]
    assert shared["kubernetes_workloads_rollouts"][0] == "default/statefulset/postgres"
    assert shared["kubernetes_workloads_secret"]["data"]["password"] == "{{ vault_postgresql_password | b64encode }}"
    text = json.dumps(shared["kubernetes_workloads_manifests"])
    assert "vault_postgresql_password) | hash('sha256'))[:16] }}" in text
    assert "{{ kubernetes_workloads_digests['docker.io/meshwright/demo:" in text
    of_registry = ansible_inventory.variables(
        parse(ENVIRONMENT, {"machines": {"driver": "existing"}, "sources": {"kubernetes": "official"}})
    )
    assert "digests" not in json.dumps(of_registry["kubernetes_workloads_manifests"])


def test_an_inventory_of_machines_knows_nothing_of_workloads_in_a_cluster() -> None:
    for environment in (local.ENVIRONMENT, laptop.ENVIRONMENT):
        assert not [
            name for name in ansible_inventory.variables(environment) if name.startswith("kubernetes_workloads")
        ]


@pytest.mark.parametrize("scenario", sorted(book_store.SCENARIOS))
def test_policies_are_objects_in_the_order_in_which_they_are_applied(scenario: str) -> None:
    policies = book_store.policies(of(scenario=scenario))
    objects = policy_objects.manifests(policies)
    kinds = [each["kind"] for each in objects]
    assert len(objects) == len(policies)
    first = next(place for place, kind in enumerate(kinds) if kind in policy_objects.ROUTES)
    assert set(kinds[first:]) <= set(policy_objects.ROUTES)
    assert "Gateway" in kinds[:first]
    assert all({"apiVersion", "kind", "metadata", "spec"} <= each.keys() for each in objects)


def test_policies_are_written_for_kubectl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["policy_objects", "local", "--scenario", "authentication"])
    assert policy_objects.main() == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {"PeerAuthentication", "RequestAuthentication", "VirtualService"} <= {each["kind"] for each in documents}
    monkeypatch.setattr("sys.argv", ["policy_objects", "nowhere"])
    with pytest.raises(SystemExit):
        policy_objects.main()
    assert "no environment is declared for the stack 'nowhere'" in capsys.readouterr().err


def test_the_table_of_environments_has_a_cluster_with_the_demo() -> None:
    assert ENVIRONMENTS["local-kubernetes"].ENVIRONMENT.workloads


def test_what_is_no_longer_wanted_is_left_over() -> None:
    leftovers = ansible_module("kubernetes_workloads", "cluster_leftovers")
    listed = "Deployment/default/store\nDeployment/default/order\n\nService/shop/store\n"
    assert leftovers.left(listed, ["Deployment/default/store"]) == ["Deployment/default/order", "Service/shop/store"]
    # Every object of ours can be found again, but namespaces.
    for kind, name in made():
        labels = made()[kind, name]["metadata"]["labels"]
        assert kind == "Namespace" or cluster_workloads.OURS.items() <= labels.items(), (kind, name)
    listed_kinds = {kind.partition(".")[0] for kind in leftovers.KINDS}
    assert {f"{kind.lower()}s" for kind, _name in made() if kind != "Namespace"} | {"secrets"} == listed_kinds
