"""What `make images` is asked for: names, groups, and what there is not."""

import pytest

from stacks.images import CLUSTER, MESH, PREVIOUS, WORKLOADS
from stacks.images.go_build import UnavailableError, check_architecture, find_go
from stacks.images.selection import ALL, GROUPS, NAMES, NODES, PREVIOUS_NODES, UnknownNameError, select


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ((), ALL),
        (("kubernetes-1.33",), (PREVIOUS_NODES, *(plan.name for plan in PREVIOUS))),
        (("proxy",), ("proxy",)),
        (("proxy", "control", "proxy"), ("control", "proxy")),
        (("mesh",), ("control", "proxy")),
        (("kubernetes",), (NODES, *(plan.name for plan in CLUSTER))),
        (("mesh", "pause", "nodes", "control"), ("nodes", "pause", "control", "proxy")),
        (("workloads", "proxy"), ("proxy", "demo", "database")),
        (("mesh", "workloads", "kubernetes"), ALL),
        (("mesh", "workloads", "kubernetes", "kubernetes-1.33"), NAMES),
    ],
)
def test_names_and_groups_are_taken_once_and_in_the_order_of_the_list(
    asked: tuple[str, ...], meant: tuple[str, ...]
) -> None:
    assert select(asked) == meant


def test_every_image_can_be_asked_for() -> None:
    assert set(NAMES) == {
        NODES,
        PREVIOUS_NODES,
        *(plan.name for plan in (*MESH, *WORKLOADS, *CLUSTER, *PREVIOUS)),
    }
    assert not set(NAMES) & set(GROUPS)


def test_what_there_is_not_is_told_with_what_there_is() -> None:
    with pytest.raises(UnknownNameError) as caught:
        select(["pause", "kubelet"])
    assert str(caught.value).startswith(
        "there is no image 'kubelet'; there are control, coredns, database, demo, etcd,"
    )
    assert str(caught.value).endswith(
        "nodes, nodes-1.33, pause, proxy, and groups mesh, workloads, kubernetes, kubernetes-1.33"
    )


def test_without_go_it_says_what_mends_that() -> None:
    with pytest.raises(UnavailableError, match=r"there is no Go .*: install Go .* or take the official images"):
        find_go(lambda _name: None)
    assert find_go({"/usr/local/go/bin/go": "/usr/local/go/bin/go"}.get) == "/usr/local/go/bin/go"


def test_other_machines_are_told_to_take_the_official_ones() -> None:
    check_architecture("x86_64")
    with pytest.raises(UnavailableError, match=r"x86_64 .*; this one is aarch64: take the official ones"):
        check_architecture("aarch64")
