"""Annotations of ours: what is misspelt is told, for passed over it would let users move without a word."""

import pytest

from mesh_control import validate
from tests.unit.mesh_control.worlds import world

STICKY = "meshwright.io/sticky-header"
SERVICE = "kind: VirtualService\nmetadata: {name: order, annotations: {%s}}\nspec: {hosts: [order], http: [%s]}"
RULE = "kind: DestinationRule\nmetadata: {name: order, annotations: {%s}}\nspec: {host: order}"
TO_ORDER = "{route: [{destination: {host: order}}]}"
HEAD = "apiVersion: networking.istio.io/v1\n"


def told(text: str) -> list[str]:
    return [f"{found.field}: {found.message}" for found in validate.findings(world(HEAD + text))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SERVICE % (f"{STICKY}: ''", TO_ORDER), f"{STICKY}: '' is no name of a header; write for example x-user-id"),
        (SERVICE % (f"{STICKY}: 'x user'", TO_ORDER), "'x user' is no name of a header"),
        (SERVICE % (f"{STICKY}: ':path'", TO_ORDER), "':path' is no name of a header"),
        (SERVICE % (f"{STICKY}: 'a,b'", TO_ORDER), "'a,b' is no name of a header"),
        (
            SERVICE % ("meshwright.io/stickyheader: x", TO_ORDER),
            f"meshwright.io/stickyheader is unknown; write {STICKY}",
        ),
        (SERVICE % ("meshwright.io/other: x", TO_ORDER), "meshwright.io/other is unknown"),
        (RULE % f"{STICKY}: x-user", f"{STICKY} is for a VirtualService; remove it"),
    ],
)
def test_annotations_that_cannot_be_meant(text: str, message: str) -> None:
    (found,) = told(text)
    assert found.startswith("metadata.annotations: ")
    assert message in found


@pytest.mark.parametrize("text", [SERVICE % (f"{STICKY}: X-User", TO_ORDER), SERVICE % ("other.io/a: b", TO_ORDER)])
def test_annotations_that_are_right_or_of_others(text: str) -> None:
    assert told(text) == []
