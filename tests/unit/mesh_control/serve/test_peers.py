"""Who a client may be, given what it has proven."""

import pytest

from mesh_api.node import Node
from mesh_control.ca.tokens import Grant
from mesh_control.registration.proof import Anyone, Granted
from mesh_control.serve.peers import Certified, address_of, beyond, identities_of

NODE = Node("sidecar~10.0.0.1~order-1.shop~shop.svc.cluster.local", metadata={"SERVICE_ACCOUNT": "order"})
OPEN = Node(NODE.id)
ORDER = "spiffe://cluster.local/ns/shop/sa/order"


@pytest.mark.parametrize(
    ("node", "identities", "taken"),
    [
        (NODE, (), False),
        (NODE, (ORDER,), True),
        (NODE, ("spiffe://cluster.local/ns/shop/sa/store", ORDER), True),
        (NODE, ("spiffe://cluster.local/ns/shop/sa/store",), False),
        (NODE, ("spiffe://cluster.local/ns/other/sa/order",), False),
        (NODE, ("spiffe://cluster.local/order",), False),
        (NODE, ("https://shop/order",), False),
        (OPEN, ("spiffe://cluster.local/ns/shop/sa/anyone",), True),
        (OPEN, ("spiffe://cluster.local/ns/other/sa/anyone",), False),
        (Node("nobody"), (ORDER,), False),
    ],
)
def test_a_proxy_is_whom_its_certificate_names(node: Node, identities: tuple[str, ...], taken: bool) -> None:
    assert (beyond(node, Certified(identities)) is None) == taken


@pytest.mark.parametrize(
    ("pattern", "node", "taken"),
    [("shop/order", NODE, True), ("shop/*", NODE, True), ("shop/store", NODE, False), ("other/*", OPEN, False)],
)
def test_a_proxy_is_whom_its_join_token_is_for(pattern: str, node: Node, taken: bool) -> None:
    assert (beyond(node, Granted(Grant.parse("cluster.local", pattern))) is None) == taken


def test_where_nothing_is_asked_for_nothing_is_contradicted() -> None:
    assert beyond(NODE, Anyone()) is None


def test_a_contradiction_says_both_sides() -> None:
    assert beyond(NODE, Certified(("spiffe://cluster.local/ns/shop/sa/store",))) == (
        f"{NODE.id} runs as order of shop, and shows spiffe://cluster.local/ns/shop/sa/store"
    )


def test_a_certificate_is_a_proof_to_join_with() -> None:
    proof = Certified((ORDER,))
    assert proof.covers("shop", "order")
    assert proof.covers("shop", "")
    assert not proof.covers("shop", "store")
    assert not proof.covers("default", "")
    assert str(proof) == ORDER


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:127.0.0.1:1234", "127.0.0.1"), ("ipv6:%5B::1%5D:1234", "%5B::1%5D"), ("unix:/run/x", "unix:/run/x")],
)
def test_the_address_is_without_its_port(peer: str, address: str) -> None:
    assert address_of(peer) == address


class _Context:
    def __init__(self, found: dict[str, list[bytes]] | None) -> None:
        self._found = found

    def auth_context(self) -> dict[str, list[bytes]] | None:
        return self._found


def test_identities_are_the_uris_of_the_certificate() -> None:
    names = [b"istiod.istio-system.svc", ORDER.encode()]
    assert identities_of(_Context({"x509_subject_alternative_name": names})) == (ORDER,)
    assert identities_of(_Context({})) == identities_of(_Context(None)) == ()
