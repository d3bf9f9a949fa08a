"""Which requests of kubelets for certificates are approved: those of a machine's own login, for what is its own."""

from types import ModuleType
from typing import Any

import pytest

from tests.support.modules import ansible_module


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return ansible_module("kubernetes", "kubelet_certificates")


DESCRIBED = """Name:               csr-x
Labels:             <none>
CreationTimestamp:  Sat, 28 Nov 2026 00:00:00 +0000
Requesting User:    system:node:node2
Signer:             kubernetes.io/kubelet-serving
Status:             Pending
Subject:
         Common Name:    system:node:node2
         Serial Number:{0}
         Organization:   {1}
Subject Alternative Names:
         DNS Names:     {2}
         IP Addresses:  {3}
Events:  <none>
"""


@pytest.mark.parametrize(
    ("serial", "organization", "names", "addresses", "expected"),
    [
        ("", "system:nodes", "node2", "10.0.0.12", True),
        ("", "system:masters", "node2", "10.0.0.12", False),
        ("", "system:nodes\n                         system:masters", "node2", "10.0.0.12", False),
        ("", "system:nodes", "node1", "10.0.0.12", False),
        ("", "system:nodes", "node2\n                        api.example", "10.0.0.12", False),
        ("", "system:nodes", "node2", "10.0.0.11", False),
        ("", "system:nodes", "node2", "10.0.0.12\n                        10.0.0.11", False),
        ("", "system:nodes", "node2", "10.0.0.12\n         URIs:  spiffe://x", False),
        (" 7", "system:nodes", "node2", "10.0.0.12", False),
    ],
)
def test_a_request_is_for_a_machine_s_name_and_address_and_for_nothing_else(
    module: ModuleType, serial: str, organization: str, names: str, addresses: str, expected: bool
) -> None:
    described = DESCRIBED.format(serial, organization, names, addresses)
    assert module.wanted(described, "node2", "10.0.0.12") is expected
    assert not module.wanted(described, "node1", "10.0.0.11")


def test_what_describes_no_request_is_none(module: ModuleType) -> None:
    assert not module.wanted("", "node2", "10.0.0.12")


def request(name: str, user: str, signer: str = "kubernetes.io/kubelet-serving", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"username": user, "signerName": signer}, "status": status}


def test_requests_of_others_and_decided_ones_are_left(module: ModuleType) -> None:
    user = "system:node:node2"
    listed = {
        "items": [
            request("ours", user),
            request("another", "system:node:node3"),
            request("bootstrap", "system:bootstrap:abcdef", "kubernetes.io/kube-apiserver-client-kubelet"),
            request("client", user, "kubernetes.io/kube-apiserver-client-kubelet"),
            request("denied", user, conditions=[{"type": "Denied"}]),
            request("approved", user, conditions=[{"type": "Approved"}]),
        ]
    }
    assert module.pending(listed, "node2") == ["ours"]
