"""Applications that are to end are left alone for a moment."""

from typing import Any

import pytest

from mesh_control.injection.pods import Surroundings, inject
from mesh_control.injection.stopping import delay, delayed
from mesh_control.injection.template import Template
from mesh_control.injection.wishes import WishError, read
from tests.unit.mesh_control.injection.pods import pod


@pytest.mark.parametrize(
    ("wished", "grace", "version", "seconds"),
    [
        (None, None, (1, 34), 5),
        (None, None, None, 5),
        (None, None, (1, 29), 0),
        (20, None, (1, 34), 15),
        (20, 60, (1, 34), 20),
        (0, None, (1, 34), 0),
        (None, 4, (1, 34), 2),
        (None, 0, (1, 34), 0),
    ],
)
def test_as_long_as_the_pod_has_time(wished: Any, grace: Any, version: Any, seconds: int) -> None:
    spec = {} if grace is None else {"terminationGracePeriodSeconds": grace}
    assert delay(Template(), wished, spec, version) == seconds


def test_hooks_of_the_applications_own_stay() -> None:
    own = {"name": "a", "lifecycle": {"preStop": {"exec": {"command": ["x"]}}}}
    assert delayed(own, 5) == own
    started = {"name": "a", "lifecycle": {"postStart": {"exec": {"command": ["x"]}}}}
    assert delayed(started, 5)["lifecycle"] == {**started["lifecycle"], "preStop": {"sleep": {"seconds": 5}}}


@pytest.mark.parametrize(("annotations", "hook"), [({}, 5), ({"meshwright.io/stop-delay-seconds": "0"}, None)])
def test_pods_are_delayed_unless_they_say_otherwise(annotations: dict[str, str], hook: int | None) -> None:
    made = inject(pod(annotations=annotations), Surroundings(version=(1, 34))).pod
    (application,) = made["spec"]["containers"]
    assert application.get("lifecycle") == (None if hook is None else {"preStop": {"sleep": {"seconds": hook}}})


@pytest.mark.parametrize("value", ["-1", "301", "5s", ""])
def test_what_is_no_number_of_seconds_is_named(value: str) -> None:
    with pytest.raises(WishError, match=r"meshwright\.io/stop-delay-seconds: .* is no number of seconds from 0 to 300"):
        read({"meshwright.io/stop-delay-seconds": value})
