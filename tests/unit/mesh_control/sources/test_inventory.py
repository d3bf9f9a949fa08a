"""The static inventory, and errors that name the field."""

from pathlib import Path

import pytest
import yaml

from mesh_control.services import Protocol
from mesh_control.sources.inventory import InventoryError, InventoryFile, read

BAD = {
    "services: [{name: a}]": "services.0.ports: Field required",
    "services: [{name: a, ports: [{name: http, port: 70000}]}]": "services.0.ports.0.port: Input should be less than",
    "services: [{name: a, ports: [], extra: 1}]": "services.0.extra: Extra inputs are not permitted",
    "workloads: [{name: a}]": "workloads.0.address: Field required",
    "workloads: [{name: a, address: 10.0.0.1, ports: {http: x}}]": "workloads.0.ports.http: Input should be a valid",
    "services: [": "while parsing",
    "services: []\n---\nworkloads: []": "expected a single document",
    "- a": "Input should be a valid dictionary",
}


@pytest.mark.parametrize("text", BAD)
def test_errors_name_file_and_field(tmp_path: Path, text: str) -> None:
    file = tmp_path / "inventory.yml"
    file.write_text(text)
    with pytest.raises(InventoryError) as error:
        read(file)
    assert str(error.value).startswith(f"{file}: ")
    assert BAD[text] in str(error.value)


def test_a_file_that_cannot_be_read_is_told_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(
        InventoryError, match="cannot be read: No such file or directory; write the name of one that there is"
    ):
        read(tmp_path / "none.yml")
    (tmp_path / "latin.yml").write_bytes(b"# \xe4\n")
    with pytest.raises(InventoryError, match=r"latin\.yml:1: cannot be read: is not UTF-8"):
        read(tmp_path / "latin.yml")


def test_a_text_that_ansible_writes_without_quotes_is_one(tmp_path: Path) -> None:
    labels = {"version": "1234e56", "tier": "y"}
    workload = {"name": "a", "address": "10.0.0.1", "labels": labels}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump({"workloads": [workload]}))
    assert read(tmp_path / "inventory.yml").workloads[0].labels == labels


def test_services_and_workloads(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yml"
    file.write_text(
        "services: [{name: order, ports: [{name: http, port: 80, target_port: 8080}, {name: db, port: 1, protocol: tcp}],"
        " selector: {app: order}}]\n"
        "workloads: [{name: order-1, address: 10.0.0.1, labels: {app: order}, ports: {http: 9090}, sidecar: false}]\n"
    )
    (service,), (workload,) = read(file).parts()
    assert (service.hostname, service.name) == ("order.default.svc.cluster.local", "order")
    assert [(p.number, p.target, p.protocol) for p in service.ports] == [
        (80, 8080, Protocol.HTTP),
        (1, 1, Protocol.TCP),
    ]
    assert (workload.port(service.ports[0]), workload.sidecar, workload.service_account) == (9090, False, "default")


def test_an_empty_file_is_an_empty_mesh(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text("")
    assert read(tmp_path / "inventory.yml").parts() == ((), ())


def test_a_broken_file_keeps_its_last_good_content(tmp_path: Path) -> None:
    file = tmp_path / "inventory.yml"
    file.write_text("workloads: [{name: a, address: 10.0.0.1}]")
    source = InventoryFile(file)
    good = source.read()
    assert [workload.name for workload in good.workloads] == ["a"]
    file.write_text("workloads: [{name: b}]\nservices: [{name: c}]")
    broken = source.read()
    assert broken.workloads == good.workloads
    assert broken.problems == (
        f"{file}: services.0.ports: Field required",
        f"{file}: workloads.0.address: Field required",
    )
    file.write_text("workloads: [{name: a, address: 10.0.0.1}]")
    assert source.read() == good
