"""Whether a cluster's policies are in force: by their conditions, for the version that is there."""

from typing import Any

import pytest

from mesh_cli.cluster_policies import named, waiting


def policy(generation: int = 2, observed: int | None = 2, **conditions: str) -> dict[str, Any]:
    made = [
        {"type": name, "status": state, "reason": f"Why{name}", "message": "because"}
        for name, state in {"Accepted": "True", "Programmed": "True", **conditions}.items()
    ]
    status = {} if observed is None else {"observedGeneration": observed, "conditions": made}
    return {"metadata": {"name": "shop", "namespace": "store", "generation": generation}, "status": status}


def test_one_that_every_proxy_has_taken_is_waited_for_no_more() -> None:
    assert waiting("VirtualService", policy()) == ""


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (policy(observed=None), "the control plane has not said yet what became of it"),
        (policy(generation=3), "the control plane has not said yet what became of it"),
        (policy(Accepted="False"), "WhyAccepted: because"),
        (policy(Programmed="False"), "WhyProgrammed: because"),
        ({**policy(), "status": {"observedGeneration": 2}}, "not known"),
    ],
)
def test_others_say_why(value: dict[str, Any], told: str) -> None:
    assert waiting("VirtualService", value) == f"VirtualService store/shop: {told}"


def test_those_that_are_named_are_meant() -> None:
    values = [policy()]
    assert list(named([], "VirtualService", values)) == values
    assert list(named(["VirtualService store/shop"], "VirtualService", values)) == values
    assert list(named(["VirtualService store/other"], "VirtualService", values)) == []
    assert list(named(["DestinationRule store/shop"], "VirtualService", values)) == []
