"""VirtualServices that hand their rules on."""

from mesh_api.config import PathMatchKind, Route
from tests.unit.mesh_control.worlds import ORDER, compiled, routes

HEAD = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"


def rules(root: str, delegate: str, namespace: str = "shop", more: str = "") -> tuple[Route, ...]:
    text = (
        f"{HEAD}metadata: {{name: root}}\nspec: {{hosts: [order], http: [{root}]}}\n---\n"
        f"{HEAD}metadata: {{name: d, namespace: {namespace}}}\nspec: {{http: [{delegate}]{more}}}\n"
    )
    return routes(compiled(text), "8380", ORDER)


TO = "route: [{destination: {host: far}}]"
HAND_ON = "delegate: {name: d, namespace: shop}"


def test_matches_are_joined_and_names_as_well() -> None:
    root = f"{{name: r, match: [{{uri: {{prefix: /a}}, headers: {{x: {{exact: z}}}}}}], timeout: 2s, {HAND_ON}}}"
    (route,) = rules(root, f"{{name: d, match: [{{uri: {{exact: /a/b}}}}], {TO}}}")
    assert (route.name, route.match.path.kind, route.match.path.value) == ("r-d", PathMatchKind.EXACT, "/a/b")
    assert [header.name for header in route.match.headers] == ["x"]
    assert route.action.timeout == 2.0
    assert (
        route.action.cluster == "outbound|8380||far.shop.svc.cluster.local"
    )  # short names are of the delegate's namespace
    assert route.metadata == (("config", "/apis/networking.istio.io/v1/namespaces/default/virtual-service/root"),)


def test_what_lets_through_more_than_the_root_is_left_out() -> None:
    root = f"{{match: [{{uri: {{prefix: /a}}}}], {HAND_ON}}}"
    assert [r.name for r in rules(root, f"{{name: d, match: [{{uri: {{prefix: /}}}}], {TO}}}")] == ["default"]
    assert [r.name for r in rules(root, f"{{name: d, match: [{{uri: {{regex: /a.*}}}}], {TO}}}")] == ["default"]
    assert [r.name for r in rules(root, f"{{name: d, {TO}}}")] == ["d"]


def test_a_delegate_that_is_not_there_for_the_root_is_passed_over() -> None:
    root = f"{{{HAND_ON}}}, {{name: own, route: [{{destination: {{host: order}}}}]}}"
    assert [route.name for route in rules(root, f"{{{TO}}}", more=", exportTo: [.]")] == ["own"]
    assert [route.name for route in rules(root, f"{{{TO}}}", namespace="elsewhere")] == ["own"]
    assert [route.name for route in rules(root, f"{{name: d, {TO}}}", more=", exportTo: [default]")] == [
        "d"
    ]  # which takes everything
