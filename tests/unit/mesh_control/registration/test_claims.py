"""What a proxy gets that names a WorkloadGroup: the entry that istiod makes of it (``controller_test.go``), or the reason why
it gets none."""

import re
from dataclasses import replace
from typing import Any

import pytest

from mesh_api.node import Node
from mesh_control.ca.tokens import Grant
from mesh_control.registration.claims import Claim, RegistrationError, claim_of, entry_of
from mesh_control.registration.proof import Anyone, Granted, JoinProof
from mesh_policy import WorkloadGroup, load_documents
from mesh_policy.yaml_text import written

GROUP = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: wg-a, namespace: a, labels: {grouplabel: notonentry}}
spec:
  metadata: {labels: {foo: bar}, annotations: {foo: bar}}
  template: {ports: {http: 80}, labels: {app: a, foo: template}, weight: 1, locality: rgn1/zone1, serviceAccount: sa-a}
"""


def group(text: str = GROUP) -> WorkloadGroup:
    (found,) = load_documents(text)
    assert isinstance(found, WorkloadGroup)
    return found


def node(**metadata: Any) -> Node:
    return Node("sidecar~10.0.0.1~vm-1.a~a.svc", metadata={"AUTO_REGISTER_GROUP": "wg-a", **metadata})


def claim(found: Node) -> Claim:
    claimed = claim_of(found)
    assert claimed is not None
    return claimed


def test_the_entry_is_the_one_that_istiod_makes() -> None:
    """Labels of the node before those of the group's metadata, before those of its template."""
    labels = {"merge": "me", "istio-locality": "rgn2.zone2.subzone2"}
    asked = replace(node(LABELS=labels), region="rgn2", zone="zone2", sub_zone="subzone2")
    entry = entry_of(claim(asked), group(), Anyone())
    assert entry.to_document() == {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "name": "wg-a-10.0.0.1",
            "namespace": "a",
            "labels": {"app": "a", "foo": "bar", "merge": "me"},
            "annotations": {"foo": "bar", "istio.io/autoRegistrationGroup": "wg-a"},
        },
        "spec": {
            "address": "10.0.0.1",
            "ports": {"http": 80},
            "labels": {"app": "a", "foo": "bar", "merge": "me"},
            "locality": "rgn2/zone2/subzone2",
            "weight": 1,
            "serviceAccount": "sa-a",
        },
    }


NAMES = {
    "the node id": (node(), "wg-a-10.0.0.1"),
    "its own addresses": (node(INSTANCE_IPS="10.9.0.1,10.9.0.2"), "wg-a-10.9.0.1"),
    "a list of them": (node(INSTANCE_IPS=["2001:db8::1"]), "wg-a-2001-db8--1"),
    "a network": (node(NETWORK="nw1"), "wg-a-10.0.0.1-nw1"),
    "too long": (node(AUTO_REGISTER_GROUP="x" * 250), f"{'x' * 244}-10.0.0.1"[-253:]),
}


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    found, expected = NAMES[name]
    assert claim(found).name == expected


def test_the_network_of_a_machine_is_that_of_its_entry() -> None:
    assert entry_of(claim(node(NETWORK="nw1")), group(), Anyone()).spec.network == "nw1"


def test_who_names_no_group_claims_nothing() -> None:
    assert claim_of(Node("sidecar~10.0.0.1~vm-1.a~a.svc", metadata={"NAMESPACE": 1})) is None


def test_a_probed_one_is_marked() -> None:
    entry = entry_of(claim(node(PROXY_CONFIG={"readinessProbe": {"tcpSocket": {"port": 80.0}}})), group(), Anyone())
    assert (entry.metadata.annotations or {})["proxy.istio.io/health-checks-enabled"] == "true"


BAD_NODES = {
    "namespace": (node(NAMESPACE="b"), "NAMESPACE 'b' is not that of the node id, a"),
    "labels": (node(LABELS="app"), "LABELS must be a mapping, not 'app'"),
    "address": (node(INSTANCE_IPS="host.example"), "INSTANCE_IPS: 'host.example' is no IP address"),
    "group": (node(AUTO_REGISTER_GROUP=["wg-a"]), "AUTO_REGISTER_GROUP must be text"),
    "id": (Node("vm-1", metadata={"AUTO_REGISTER_GROUP": "wg-a"}), "node id 'vm-1': expected kind~address"),
}


@pytest.mark.parametrize("name", BAD_NODES)
def test_what_a_node_cannot_say(name: str) -> None:
    found, message = BAD_NODES[name]
    with pytest.raises(RegistrationError, match=re.escape(message)):
        claim_of(found)


BAD_CLAIMS = {
    "a label": (node(LABELS={"app": "no label!"}), GROUP, "metadata.labels: "),
    "a name": (node(AUTO_REGISTER_GROUP="WG"), GROUP, "would be no WorkloadEntry: name: "),
}


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_what_would_be_no_entry_is_refused(name: str) -> None:
    found, text, message = BAD_CLAIMS[name]
    with pytest.raises(RegistrationError) as refused:
        entry_of(claim(found), group(text), Anyone())
    assert message.removeprefix("metadata.") in str(refused.value)


def test_without_its_group_nobody_is_registered() -> None:
    with pytest.raises(RegistrationError, match="there is no WorkloadGroup a/wg-a; apply one first"):
        entry_of(claim(node()), None, Anyone())


def granted(text: str) -> Granted:
    return Granted(Grant.parse("cluster.local", text))


NO_ACCOUNT = GROUP.replace(", serviceAccount: sa-a", "")
PROOFS: list[tuple[JoinProof | None, str, bool]] = [
    (granted("a/sa-a"), GROUP, True),
    (granted("a/*"), GROUP, True),
    (granted("*/*"), GROUP, True),
    (granted("a/sa-b"), GROUP, False),
    (granted("b/sa-a"), GROUP, False),
    (None, GROUP, False),
    (granted("a/anything"), NO_ACCOUNT, True),
    (granted("a/some-*"), NO_ACCOUNT, True),
    (granted("b/anything"), NO_ACCOUNT, False),
    (None, NO_ACCOUNT, False),
]


@pytest.mark.parametrize(("proof", "text", "taken"), PROOFS)
def test_only_who_may_be_the_workload_registers_it(proof: JoinProof | None, text: str, taken: bool) -> None:
    if taken:
        assert entry_of(claim(node()), group(text), proof).spec.address == "10.0.0.1"
        return
    with pytest.raises(RegistrationError, match=r"asks for an identity of .*namespace a; proven is"):
        entry_of(claim(node()), group(text), proof)


def test_the_groups_document_is_what_people_write() -> None:
    assert load_documents(written(group().to_document())) == [group()]
