"""What may be chosen of a mesh in a cluster, and how a wrong choice is told."""

import pytest

from mesh_control.installation import control
from mesh_control.installation.objects import objects
from mesh_control.installation.values import External, GatewayPort, Installation, ValuesError, read


def test_nothing_chosen_is_the_default() -> None:
    assert read("", "values.yml") == Installation()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("replicas: 0", "values.yml: replicas: Input should be greater than or equal to 1"),
        ("colour: red", "values.yml: colour: there is no such value"),
        ("gateways: [{name: a, label: a}, {name: a, label: b}]", "values.yml: gateways: 'a' stands twice"),
        ("trust_domain: SHOP", "values.yml: trust_domain: trust domain 'SHOP'"),
        ("mesh_config: {colour: red}", "values.yml: mesh_config: colour: "),
        ("mesh_config: {trustDomain: a}", "mesh_config.trustDomain: 'a' is not trust_domain, 'cluster.local'"),
        ("proxy: {cpu_limit: much}", "values.yml: proxy.cpu_limit: 'much' is no amount of processors"),
        ("replicas: [", "values.yml: "),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ValuesError) as refused:
        read(text, "values.yml")
    assert message in str(refused.value)


@pytest.mark.parametrize(("port", "target"), [(80, 8080), (443, 8443), (1023, 9023), (1024, 1024), (15443, 15443)])
def test_low_ports_are_listened_on_without_rights(port: int, target: int) -> None:
    assert GatewayPort(name="p", port=port).target == target


def test_definitions_come_first_and_webhooks_last() -> None:
    kinds = [value["kind"] for value in objects(Installation())]
    assert kinds[0] == "CustomResourceDefinition"
    assert kinds[-2:] == ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]
    assert "CustomResourceDefinition" not in [v["kind"] for v in objects(Installation(definitions=False))]


def test_roots_of_webhooks_are_nobody_elses_to_write() -> None:
    for value in control.webhooks(Installation(namespace="mesh")):
        for webhook in value["webhooks"]:
            service = webhook["clientConfig"]["service"]
            assert (service["name"], service["namespace"]) == ("istiod", "mesh")
            assert set(webhook["clientConfig"]) == {"service"}


def test_other_settings_are_another_deployment() -> None:
    def annotations(values: Installation) -> dict[str, str]:
        found = next(value for value in objects(values) if value["kind"] == "Deployment")
        made: dict[str, str] = found["spec"]["template"]["metadata"]["annotations"]
        return made

    assert annotations(Installation()) == annotations(Installation(replicas=3))
    assert annotations(Installation()) != annotations(Installation(cluster="east"))


def test_images_are_those_of_a_repository() -> None:
    values = Installation(repository="registry.example/mesh/", tag="7")
    assert values.image("proxy") == "registry.example/mesh/proxy:7"
    text = str(list(objects(values)))
    assert "docker.io" not in text


def test_machines_beside_the_cluster_reach_the_control_plane_only_where_that_is_chosen() -> None:
    def external(values: Installation) -> list[dict[str, object]]:
        found = [v for v in objects(values) if v["kind"] == "Service" and v["metadata"]["name"] == control.EXTERNAL]
        return [value["spec"] for value in found]

    assert external(Installation()) == []
    (spec,) = external(read("external: {address: 192.0.2.7}", "values.yml"))
    assert (spec["type"], spec["loadBalancerIP"]) == ("LoadBalancer", "192.0.2.7")
    # Certificates and configuration, and none of the webhooks or pages.
    assert [port["port"] for port in spec["ports"]] == [control.XDS]  # type: ignore[attr-defined]
    # The client's own address is what its attempts are counted by.
    assert spec["externalTrafficPolicy"] == "Local"
    (plain,) = external(Installation(external=External()))
    assert "loadBalancerIP" not in plain
