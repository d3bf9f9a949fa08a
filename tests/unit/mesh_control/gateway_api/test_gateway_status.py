"""What a Gateway is told about itself, beyond what Istio's own cases have."""

import pytest

from mesh_control.conditions import Condition
from mesh_control.gateway_api import Surroundings, convert
from mesh_control.gateway_api.conversion import objects
from mesh_control.gateway_api.converted import ISTIO, OWN
from mesh_control.gateway_api.gateway_status import Front, GatewayState, state
from mesh_policy import load_documents

HOST = "shop-meshwright.edge.svc.cluster.local"
HTTP = "{name: web, port: 80, protocol: HTTP}"


def gateway(*listeners: str, class_name: str = "meshwright") -> str:
    spec = f"{{gatewayClassName: {class_name}, listeners: [{', '.join(listeners)}]}}"
    head = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: shop, namespace: edge}"
    return f"{head}\nspec: {spec}\n"


def told(text: str, front: Front | None = None) -> GatewayState:
    known = objects(load_documents(text), Surroundings(controllers=frozenset({OWN})))
    (found,) = known.gateways
    return state(found, known, {} if front is None else {HOST: front})


def reasons(conditions: tuple[Condition, ...]) -> dict[str, tuple[bool, str]]:
    return {condition.type: (condition.holds, condition.reason) for condition in conditions}


@pytest.mark.parametrize(
    ("front", "programmed", "addresses"),
    [
        (Front(("10.0.0.1",), (), False, frozenset({80})), (True, "Programmed"), ("10.0.0.1", HOST)),
        (Front(("10.0.0.1",), ("192.0.2.1", "lb.example"), True, frozenset({80})), (True, "Programmed"),
         ("192.0.2.1", "lb.example")),
        (Front(("10.0.0.1",), (), True, frozenset({80})), (False, "AddressNotAssigned"), ("10.0.0.1",)),
        (Front(("10.0.0.1",)), (False, "AddressNotAssigned"), ()),
        (Front(("10.0.0.1",), (), False, frozenset({8080})), (False, "AddressNotUsable"), ()),
    ],
)  # fmt: skip
def test_it_is_programmed_where_its_service_has_hosts_and_an_address(
    front: Front, programmed: tuple[bool, str], addresses: tuple[str, ...]
) -> None:
    found = told(gateway(HTTP), front=front)
    assert reasons(found.conditions) == {"Accepted": (True, "Accepted"), "Programmed": programmed}
    assert found.addresses == addresses


def test_without_a_service_there_is_no_address() -> None:
    found = told(gateway(HTTP))
    assert reasons(found.conditions)["Programmed"] == (False, "AddressNotUsable")
    assert found.addresses == ()


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        ("{name: b, port: 80, protocol: HTTPS, tls: {certificateRefs: [{name: any}]}}", "ProtocolConflict"),
        ("{name: b, port: 80, protocol: TCP}", "ProtocolConflict"),
    ],
)
def test_of_listeners_that_cannot_be_told_apart_the_later_one_is_told(second: str, reason: str) -> None:
    found = told(gateway(HTTP, second), front=Front((), (), False, frozenset({80})))
    assert reasons(found.conditions)["Accepted"] == (True, "ListenersNotValid")
    first, later = (reasons(listener.conditions) for listener in found.listeners)
    assert first["Conflicted"] == (False, "NoConflicts")
    assert later["Conflicted"] == (True, reason)
    assert later["Accepted"] == later["Programmed"] == (False, reason)


@pytest.mark.parametrize(
    ("controllers", "class_name", "ours"),
    [
        ({OWN}, "meshwright", True),
        ({OWN}, "istio", False),
        ({ISTIO}, "istio", True),
        ({ISTIO}, "meshwright", False),
        ({OWN, ISTIO}, "istio", True),
        ({OWN}, "other", False),
    ],
)
def test_whose_a_gateway_is_the_compiler_and_the_status_agree(
    controllers: set[str], class_name: str, ours: bool
) -> None:
    policies = load_documents(gateway(HTTP, class_name=class_name))
    around = Surroundings(controllers=frozenset(controllers))
    assert bool(objects(policies, around).gateways) is ours
    assert bool(convert(policies, around).gateways) is ours
