"""What `make demo` tells `mesh observe`, by the stack's outputs."""

from meshwright_tools.demo import entered, where

MACHINES = {
    "gateway": "http://10.77.0.11:80",
    "direct": "http://10.77.0.12:8080",
    "statistics": {"store": "http://10.77.0.12:15090/stats/prometheus"},
    "enter": ["nsenter", "--net=/run/netns/mw-local"],
}


def test_machines_are_asked_from_their_network() -> None:
    assert entered(MACHINES) == ["nsenter", "--net=/run/netns/mw-local"]
    assert where(MACHINES) == [
        *("--gateway", "http://10.77.0.11:80", "--direct", "http://10.77.0.12:8080"),
        *("--statistics", "store=http://10.77.0.12:15090/stats/prometheus"),
    ]
    assert where({"gateway": "http://127.0.0.1:18080", "direct": "", "statistics": {}}) == [
        "--gateway",
        "http://127.0.0.1:18080",
    ]


def test_a_cluster_is_asked_from_here_by_its_login() -> None:
    outputs = {"kubeconfig": ".meshwright/local-kubernetes/kubeconfig", "enter": MACHINES["enter"]}
    assert entered(outputs) == []
    assert where(outputs) == ["--kubeconfig", ".meshwright/local-kubernetes/kubeconfig"]
