"""Node identities."""

import pytest

from mesh_api.node import Node, NodeId, NodeKind

ID = "sidecar~10.77.0.11~order-1.default~default.svc.cluster.local"


def test_parts_of_a_sidecar() -> None:
    node = Node(ID).parsed_id()
    assert node == NodeId(NodeKind.SIDECAR, "10.77.0.11", "order-1", "default", "default.svc.cluster.local")
    assert str(node) == ID


def test_gateway_with_dots_in_its_name() -> None:
    node = NodeId.parse("router~fd00::1~gateway.v1.2.istio-system~istio-system.svc.cluster.local")
    assert (node.kind, node.name, node.namespace) == (NodeKind.ROUTER, "gateway.v1.2", "istio-system")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("order-1", "expected kind~address~name.namespace~domain, found 1 parts"),
        ("waypoint~10.0.0.1~a.b~c", "kind 'waypoint' is none of sidecar, router"),
        ("sidecar~10.0.0.1~order~c", "'order' is not of the form name.namespace"),
        ("sidecar~10.0.0.1~.default~c", "'.default' is not of the form name.namespace"),
        ("sidecar~~a.b~c", "the address is empty"),
        ("sidecar~10.0.0.1~a.b~", "the domain is empty"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=r"^node id .*" + message.replace(".", r"\.")):
        NodeId.parse(text)
