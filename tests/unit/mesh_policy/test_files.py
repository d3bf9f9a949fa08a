"""Which files a folder contributes, what keeps one from being read, and which documents are no objects."""

import os
import socket
from pathlib import Path

import pytest

from mesh_policy import PolicyError, load_everything, load_path
from mesh_policy.analysis.inputs import read_inputs
from mesh_policy.files import OfFolder, read_file, read_files
from mesh_simulation import Mesh, MeshError

ENTRY = "apiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: a}\nspec: {address: 192.0.2.1}\n"
VALUES = "replicas: 2\nimage: {tag: v1}\n"
PACKAGE = '{\n\t"name": "shop",\n\t"version": "1.0.0"\n}\n'

NOBODY = 65534


def told(path: Path) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read_files(path)
    return [str(problem).removeprefix(f"{path}/") for problem in caught.value.problems]


def test_a_folder_contributes_yaml_and_json_sorted_and_none_of_the_hidden(tmp_path: Path) -> None:
    for name in (
        "c.json",
        "b/a.yml",
        "a.yaml",
        "b/..data/x.yaml",
        ".git/x.yaml",
        ".a.yaml",
        "c.yaml/d.yaml",
        "README.md",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    (tmp_path / ".#a.yaml").symlink_to("an-editors-lock")
    (tmp_path / "link.yaml").symlink_to("a.yaml")
    (tmp_path / "folder.yaml").symlink_to("b")
    found = [(str(Path(source).relative_to(tmp_path)), text) for source, text in read_files(tmp_path)]
    assert found == [
        ("a.yaml", "a.yaml"),
        ("b/a.yml", "b/a.yml"),
        ("c.json", "c.json"),
        ("c.yaml/d.yaml", "c.yaml/d.yaml"),
        ("link.yaml", "a.yaml"),
    ]


def test_a_file_that_is_named_is_read_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("a")
    assert read_files(tmp_path / ".hidden") == [(f"{tmp_path}/.hidden", "a")]


@pytest.mark.timeout(10)
def test_nobody_waits_for_a_pipe_in_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "b.yaml"))
    (tmp_path / "c.yaml").symlink_to("/dev/zero")
    assert read_files(tmp_path) == []


def test_a_pipe_that_is_named_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"a: 1\n")
    os.close(writing)
    try:
        assert read_files(Path(f"/dev/fd/{reading}")) == [(f"/dev/fd/{reading}", "a: 1\n")]
    finally:
        os.close(reading)


def test_every_unreadable_file_is_named_with_its_line_and_the_mend(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"# a\n# \xff\n")
    (tmp_path / "b.yml").symlink_to("nowhere")
    assert told(tmp_path) == [
        "a.yaml:2: cannot be read: is not UTF-8; save it in that encoding",
        "b.yml: cannot be read: No such file or directory; write the name of one that there is",
    ]
    assert told(tmp_path / "c") == [
        f"{tmp_path}/c: cannot be read: No such file or directory; write the name of one that there is"
    ]
    with pytest.raises(PolicyError, match="cannot be read: Is a directory; name a file"):
        read_file(tmp_path)


def test_a_folder_that_may_not_be_listed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir(mode=0)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # what lies above it is for its owner alone
    me = os.geteuid()
    os.seteuid(me or NOBODY)  # root may read everything
    try:
        found = told(Path())
    finally:
        os.seteuid(me)
    assert found == ["a: cannot be read: Permission denied; ask for the right to read it"]


def test_in_a_folder_what_is_no_object_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"# values\n---\n- 1\n---\n{ENTRY}")
    (tmp_path / "package.json").write_text(PACKAGE)
    (tmp_path / "values.yaml").write_text(VALUES)
    places = tuple(f"{tmp_path}/{place}" for place in ("a.yaml:3", "package.json:1", "values.yaml:1"))
    everything, inputs = load_everything(read_files(tmp_path)), read_inputs(read_files(tmp_path))
    assert [policy.kind for policy in load_path(tmp_path)] == ["WorkloadEntry"]
    assert (len(everything.policies), everything.others, everything.passed_over) == (1, (), places)
    assert (len(inputs.objects), inputs.findings, inputs.passed_over) == (1, (), places)
    mesh = Mesh.load(tmp_path)
    assert (len(mesh.world.policies), mesh.with_policies().passed_over) == (1, places)


@pytest.mark.parametrize("text", [VALUES, PACKAGE, "- 1\n", "text\n", "kind: Service\n", "apiVersion: v1\nkind: 1\n"])
def test_in_a_file_that_is_named_it_is_a_mistake(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    message = "apiVersion and kind are required, as text"
    with pytest.raises(PolicyError, match=f"^{file}:1: not an object: {message}$"):
        load_everything(read_files(file))
    with pytest.raises(MeshError, match=message):
        Mesh.load(file)
    (finding,) = read_inputs(read_files(file)).findings
    assert finding.located() == f"{file}:1: error IST0106 object: is no object: {message}"


@pytest.mark.parametrize(
    "text",
    [
        "kind: Service\nspec: {}\n",
        "apiVersion: v1\n",
        "{apiVersion: v1, kind: 1}",
        "{apiVersion: v1, kind: List, items: [1]}",
    ],
)
def test_half_an_object_is_a_mistake_wherever_it_stands(text: str) -> None:
    with pytest.raises(PolicyError, match="f:1: not an object: apiVersion and kind are required, as text"):
        load_everything([OfFolder("f", text)])
    assert [finding.code for finding in read_inputs([OfFolder("f", text)]).findings] == ["IST0106"]


def test_what_is_no_yaml_is_a_mistake_in_folders_too(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("{{ if .Values.a }}\na: 1\n")
    with pytest.raises(PolicyError, match=r"template\.yaml:\d+: not YAML: "):
        load_path(tmp_path)
