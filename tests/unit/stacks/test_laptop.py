"""The environment as plain processes: what runs, and what is left out when there is no database."""

from pathlib import Path

from mesh_policy.mesh_config import MeshConfig
from stacks import laptop
from stacks.environments.laptop import ENVIRONMENT, policies
from stacks.machines.qemu import ports as qemu
from tests.support import ports as tests_own

SECRETS = {"vault_join_token": "token", "vault_postgresql_password": "password"}
STATE = Path("/state")


def test_every_listener_is_on_loopback() -> None:
    for process in laptop.processes(ENVIRONMENT, STATE, SECRETS):
        for content in process.files.values():
            assert "0.0.0.0" not in str(content)
    assert [str(server.bind) for server in policies(ENVIRONMENT)[0].spec.servers] == ["127.0.0.1"]


def test_its_ports_are_those_of_no_machine_and_of_no_test() -> None:
    ports = {port for process in laptop.processes(ENVIRONMENT, STATE, SECRETS) for port in process.ports}
    assert len(ports) > 10
    machines = range(qemu.FIRST, qemu.FIRST + qemu.COUNT)
    tests = range(tests_own.FIRST, tests_own.LAST + 1)
    assert not set(machines) & set(tests)
    assert [port for port in ports if port in machines or port in tests] == []


def test_the_database_is_a_process_whose_password_stands_in_a_file_alone() -> None:
    places = {"binaries": "/bin", "data": "/data"}
    (first, *_) = laptop.processes(ENVIRONMENT, STATE, SECRETS, places)
    assert (first.name, first.arguments, first.environment) == ("postgresql", ("/state/postgresql.yml",), {})
    assert first.files["/state/postgresql.yml"]["password"] == "password"


def test_the_settings_of_the_mesh_are_a_file_of_the_control_plane() -> None:
    found = MeshConfig(trust_domain="shop.example")
    environment = ENVIRONMENT.model_copy(update={"mesh": ENVIRONMENT.mesh.model_copy(update={"config": found})})
    for made, wanted in ((ENVIRONMENT, None), (environment, {"trustDomain": "shop.example"})):
        control = next(process for process in laptop.processes(made, STATE, SECRETS) if process.name == "control")
        assert control.files.get("/state/mesh.yml") == wanted
        assert ("mesh_config" in control.files["/state/control.yml"]) is (wanted is not None)


def test_without_a_database_the_shop_is_left_out() -> None:
    reduced = laptop.without_database(ENVIRONMENT)
    assert [workload.name for workload in reduced.workloads] == ["book-store-v1", "book-store-v2"]
    assert [service.name for service in reduced.services] == ["book-store"]
    names = [process.name for process in laptop.processes(reduced, STATE, SECRETS)]
    assert names == [
        "control",
        "proxy-ingressgateway",
        *(f"{p}-book-store-{v}" for p in ("proxy", "workload") for v in ("v1", "v2")),
    ]
    hosts = [host for policy in policies(reduced) if policy.kind == "VirtualService" for host in policy.spec.hosts]
    assert "store.services.local" not in hosts
