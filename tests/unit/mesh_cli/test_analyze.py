"""``mesh analyze``: exit codes, forms of the result, sources."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mesh_cli.commands import app
from mesh_control.client import ControlClient, ControlError
from tests.unit.mesh_policy.analysis.cases import document, service, virtual

GONE = virtual("{route: [{destination: {host: gone}}]}")
INFO = service("web", "{name: web, port: 80}")


def mesh(*arguments: object, stdin: bytes = b"") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["analyze", *map(str, arguments)], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.yaml"
    path.write_text(service() + INFO + GONE)
    return path


def test_findings_as_lines(file: Path) -> None:
    code, out, err = mesh(file)
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith(f"{file}:9: info IST0118 Service default/web: spec.ports[0]: ")
    assert lines[1].startswith(
        f"{file}:14: error IST0101 VirtualService default/a: spec.http[0].route[0].destination.host: "
    )
    assert err == "1 error, 1 info in 3 objects of 1 file\n"


def test_findings_as_json(file: Path) -> None:
    code, out, err = mesh(file, "-o", "json")
    found = json.loads(out)
    assert (code, err, len(found)) == (1, "", 2)
    assert (
        found[1].items()
        >= {
            "code": "IST0101",
            "type": "ReferencedResourceNotFound",
            "level": "Error",
            "kind": "VirtualService",
            "namespace": "default",
            "name": "a",
            "source": str(file),
            "line": 14,
            "field": "spec.http[0].route[0].destination.host",
            "origin": "VirtualService default/a",
            "reference": f"{file}:14",
        }.items()
    )
    assert found[1]["documentation"].endswith("/ist0101/")
    assert mesh("-", "-o", "json", stdin=service().encode()) == (0, "[]\n", "")


@pytest.mark.parametrize(
    ("text", "threshold", "code"),
    [
        (service(), "Info", 0),
        (service() + INFO, "Error", 0),
        (service() + INFO, "warning", 0),
        (service() + INFO, "INFO", 1),
        (service() + GONE, "Error", 1),
    ],
)
def test_the_threshold(tmp_path: Path, text: str, threshold: str, code: int) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert mesh(tmp_path, "--failure-threshold", threshold)[0] == code
    assert mesh(tmp_path, "--failure-threshold", threshold, "-o", "json")[0] == code


def test_findings_below_what_is_shown_still_count(file: Path) -> None:
    code, out, _ = mesh(file, "--output-threshold", "Error")
    assert (code, len(out.splitlines())) == (1, 1)


@pytest.mark.parametrize(("content", "told"), [(b"a: [", "not YAML"), (b"\xff", "UTF-8"), (None, "No such file")])
def test_what_cannot_be_read(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
        assert mesh("-", stdin=content)[0] == 2
    code, out, err = mesh(path, "-o", "json")
    assert (code, out) == (2, "")
    assert told in err


def test_an_object_that_is_not_valid_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": 1}}))
    code, out, _ = mesh(tmp_path)
    assert code == 1
    assert "error IST0106" in out


def test_suppression(file: Path) -> None:
    assert mesh(file, "-S", "IST0101=VirtualService default/*", "--suppress", "IST0118")[:2] == (0, "")
    assert mesh(file, "-S", "IST9999", "-S", "IST0101")[2].startswith("--suppress IST9999: there is no such code")
    assert mesh(file, "-S", "wrong")[0] == 2


def test_the_table_of_codes() -> None:
    code, out, _ = mesh("--list")
    assert code == 0
    assert "IST0101   error    ReferencedResourceNotFound" in out
    assert "Never found here:" in out
    assert {row["code"] for row in json.loads(mesh("--list", "-o", "json")[1])} >= {"IST0101", "MESH0001"}


INVENTORY = """
services:
- {name: books, ports: [{name: http, port: 80}], selector: {app: books}}
workloads:
- {name: a, address: 192.0.2.1, labels: {app: books, version: v1}}
"""
RULE = document("DestinationRule", "r", "{host: books, subsets: [{name: v2, labels: {version: v2}}]}")


def test_bare_machines(tmp_path: Path) -> None:
    (tmp_path / "inventory.yml").write_text(INVENTORY)
    (tmp_path / "a.yaml").write_text(GONE + RULE)
    code, out, _ = mesh(tmp_path / "a.yaml", "--inventory", tmp_path / "inventory.yml", "-o", "json")
    assert (code, [f["code"] for f in json.loads(out)]) == (1, ["IST0101", "IST0173"])
    (tmp_path / "inventory.yml").write_text(INVENTORY.replace(", selector: {app: books}", ""))
    outlier = document("DestinationRule", "r", "{host: books, trafficPolicy: {outlierDetection: {interval: 1s}}}")
    (tmp_path / "b.yaml").write_text(outlier)
    assert mesh(tmp_path / "b.yaml", "--inventory", tmp_path / "inventory.yml")[:2] == (0, "")  # it selects nobody
    (tmp_path / "inventory.yml").write_text("services: 1")
    assert mesh(tmp_path / "a.yaml", "--inventory", tmp_path / "inventory.yml")[0] == 2
    assert mesh(tmp_path / "a.yaml", "--inventory", tmp_path / "none.yml") == (
        2,
        "",
        f"{tmp_path}/none.yml: cannot be read: No such file or directory; write the name of one that there is\n",
    )


def test_the_configuration_of_the_mesh(tmp_path: Path) -> None:
    telemetry = document("Telemetry", "a", "{accessLogging: [{}]}")
    (tmp_path / "a.yaml").write_text(telemetry)
    (tmp_path / "mesh.yaml").write_text("defaultProviders: {accessLogging: [envoy]}\n")
    assert "IST0157" in mesh(tmp_path / "a.yaml")[1]
    assert mesh(tmp_path / "a.yaml", "--mesh-config", tmp_path / "mesh.yaml")[1] == ""
    inside = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n"
    (tmp_path / "b.yaml").write_text(f"{inside}data:\n  mesh: 'defaultProviders: {{accessLogging: [envoy]}}'\n")
    assert mesh(tmp_path / "a.yaml", tmp_path / "b.yaml")[1] == ""


def test_the_whole_mesh(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GONE)
    assert mesh(tmp_path)[0] == 0
    assert mesh(tmp_path, "--whole-mesh")[0] == 1


@pytest.fixture
def in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    async def world(_client: ControlClient) -> dict[str, Any]:
        host = "books.default.svc.cluster.local"
        return {
            "policies": GONE,
            "services": [{"hostname": host, "ports": [{"number": 80, "protocol": "HTTP"}]}],
            "workloads": [{"name": "a", "namespace": "default", "labels": {"version": "v1"}, "hosts": [host]}],
        }

    monkeypatch.setattr(ControlClient, "world", world)


@pytest.mark.usefixtures("in_force")
def test_what_is_in_force(tmp_path: Path) -> None:
    code, out, _ = mesh()
    assert code == 1
    assert out.startswith("in force:4: error IST0101 VirtualService default/a")
    (tmp_path / "a.yaml").write_text(RULE)
    told = mesh("--live", tmp_path / "a.yaml")[1].splitlines()
    assert [line.split(": ")[1] for line in told] == [
        "error IST0173 DestinationRule default/r",
        "error IST0101 VirtualService default/a",
    ]


def test_a_control_plane_that_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def world(_client: ControlClient) -> dict[str, Any]:
        raise ControlError("nobody is there")

    monkeypatch.setattr(ControlClient, "world", world)
    code, out, err = mesh("--socket", tmp_path / "none.sock")
    assert (code, out) == (2, "")
    assert "nobody is there" in err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [b\n", ":2: not YAML: expected ',' or ']', but got '<stream end>'"),
        (b"\ntrust_domain: a", ":2: MeshConfig: trust_domain: there is no such field; did you mean trustDomain?"),
        (b"\n\xff\xfe", ":2: cannot be read: is not UTF-8; save it in that encoding"),
        (None, ": cannot be read: No such file or directory; write the name of one that there is"),
    ],
)
def test_a_mesh_configuration_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None, told: str) -> None:
    place = tmp_path / "mesh.yaml"
    if content is not None:
        place.write_bytes(content)
    empty = tmp_path / "empty.yaml"
    empty.touch()
    result = CliRunner().invoke(app, ["analyze", str(empty), "--mesh-config", str(place)])
    assert (result.exit_code, result.stderr) == (2, f"{place}{told}\n")
