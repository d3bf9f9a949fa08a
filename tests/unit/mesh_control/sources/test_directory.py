"""Policies on disk: replaced at once, kept when broken, whole after a crash."""

import json
import os
from pathlib import Path

import pytest

from mesh_control.sources.directory import PolicyDirectory, file_name
from mesh_policy import Policy, WorkloadEntry, WorkloadEntrySpec, load_documents

GATEWAY = (
    "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: NAME}\n"
    "spec: {servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.example]}]}\n"
)
DEEP_KEYS = (
    "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: a}\n"
    'spec: {jwtRules: [{issuer: a, jwks: \'{"keys":' + "[" * 5000 + "'}]}\n"
)


def gateways(*names: str) -> list[Policy]:
    return load_documents("---\n".join(GATEWAY.replace("NAME", name) for name in names))


def names(directory: PolicyDirectory) -> list[str]:
    return [policy.metadata.name for policy in directory.read().policies]


def test_a_set_is_replaced_and_taken_away(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a", "b"))
    assert names(directory) == ["a", "b"]
    assert sorted(f.name for f in (tmp_path / "policies/demo").iterdir()) == [
        "Gateway.default.a.yaml",
        "Gateway.default.b.yaml",
    ]
    directory.replace("demo", gateways("b", "c"))
    directory.replace("other", gateways("d"))
    assert names(directory) == ["b", "c", "d"]
    assert (directory.owners(), directory.of_owner("other")) == (["demo", "other"], gateways("d"))
    directory.replace("demo", [])
    assert names(directory) == ["d"]
    assert sorted(f.name for f in (tmp_path / "policies").iterdir()) == ["other"]


def test_an_equal_set_touches_nothing(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a"))
    file = tmp_path / "policies/demo" / file_name(gateways("a")[0])
    before = file.stat().st_ino
    directory.replace("demo", gateways("a"))
    assert file.stat().st_ino == before


@pytest.mark.parametrize(
    "broken",
    [
        "spec: [",
        "kind: Gateway\n",
        GATEWAY.replace("hosts", "hosst"),
        "\x00",
        GATEWAY.replace("NAME", "-"),
        pytest.param("spec: " + "[" * 1000, id="deep"),
        pytest.param(DEEP_KEYS, id="deep keys"),
    ],
)
def test_a_broken_file_keeps_what_it_held_also_over_a_restart(tmp_path: Path, broken: str) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a", "b"))
    assert names(directory) == ["a", "b"]
    file = tmp_path / "policies/demo/Gateway.default.a.yaml"
    file.write_text(broken)
    for process in (directory, PolicyDirectory(tmp_path)):
        assert names(process) == ["a", "b"]
        assert any(problem.startswith(str(file)) for problem in process.problems), process.problems
    file.unlink()
    assert names(PolicyDirectory(tmp_path)) == ["b"]


def test_what_is_refused_keeps_what_was_there(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path, lambda policy: ["no b"] if policy.metadata.name == "b" else [])
    directory.replace("demo", gateways("a"))
    assert names(directory) == ["a"]
    file = tmp_path / "policies/demo/Gateway.default.a.yaml"
    file.write_text(GATEWAY.replace("NAME", "b"))
    assert names(directory) == ["a"]
    assert directory.problems == (f"{file}:1: no b",)


def test_a_crash_between_the_steps_leaves_one_of_the_two_sets(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a"))
    policies = tmp_path / "policies"
    new, old = policies / ".demo.new", policies / ".demo.old"

    new.mkdir()  # still being written
    (new / "Gateway.default.b.yaml").write_text("apiVer")
    assert names(PolicyDirectory(tmp_path)) == ["a"]
    assert not new.exists()

    new.mkdir()
    (new / "Gateway.default.b.yaml").write_text(GATEWAY.replace("NAME", "b"))
    (policies / "demo").rename(old)  # put aside: from here on it is the new one
    assert names(PolicyDirectory(tmp_path)) == ["b"]
    assert sorted(f.name for f in policies.iterdir()) == ["demo"]

    (policies / "demo").rename(old)  # being taken away
    assert names(PolicyDirectory(tmp_path)) == []
    assert list(policies.iterdir()) == []


def test_a_leftover_copy_does_not_bring_a_file_back(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a"))
    directory.read()
    directory.replace("demo", [])
    assert names(directory) == []
    file = tmp_path / "policies/demo/Gateway.default.a.yaml"
    file.parent.mkdir()
    file.write_text("broken: [")
    assert names(directory) == names(PolicyDirectory(tmp_path)) == []


def spoil_bytes(file: Path) -> None:
    file.write_bytes(b"# a\n# \xff\n")


def spoil_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("nowhere")


def spoil_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def spoil_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def spoil_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


SPOILT = {
    spoil_bytes: ":2: cannot be read: is not UTF-8",
    spoil_link: ": cannot be read: No such file or directory",
    spoil_loop: ": cannot be read: Too many levels of symbolic links",
    spoil_pipe: ": cannot be read: is no file; remove it",
    spoil_folder: ": cannot be read: is no file; remove it",
}


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_what_is_no_readable_file_keeps_what_it_held(tmp_path: Path, spoil: object) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a", "b"))
    assert names(directory) == ["a", "b"]
    file = tmp_path / "policies/demo/Gateway.default.a.yaml"
    assert callable(spoil)
    spoil(file)
    for process in (directory, PolicyDirectory(tmp_path)):
        assert names(process) == ["a", "b"]
        (problem,) = process.problems
        assert problem.startswith(f"{file}{SPOILT[spoil]}")
    directory.replace("demo", gateways("c"))
    assert names(directory) == ["c"]


def test_a_folder_that_cannot_be_listed_keeps_what_it_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a"))
    directory.replace("other", gateways("b"))
    assert names(directory) == ["a", "b"]
    listed = os.listdir

    def closed(path: Path) -> list[str]:
        if Path(path).name == "demo":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "listdir", closed)  # root, as whom tests may run, may list everything
    for process in (directory, PolicyDirectory(tmp_path)):
        assert names(process) == ["a", "b"]
        assert f"{tmp_path}/policies/demo: cannot be read: Permission denied; what was in it" in process.problems[0]


def test_a_tree_that_is_gone_keeps_what_it_held(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a"))
    assert names(directory) == ["a"]
    (tmp_path / "policies").rename(tmp_path / "elsewhere")
    assert names(directory) == ["a"]
    assert directory.problems[0] == (
        f"{tmp_path}/policies: cannot be read: No such file or directory; what was in it stays in force"
    )
    (tmp_path / "elsewhere").rename(tmp_path / "policies")
    assert (names(directory), directory.problems) == (["a"], ())


def mount(folder: Path, version: str, **files: str) -> None:
    """Change a ConfigMap as kubelet does (pkg/volume/util/atomic_writer.go): a new folder, and one link that is replaced."""
    content = folder / f"..{version}"
    content.mkdir(parents=True)
    for name, text in files.items():
        (content / f"{name}.yaml").write_text(text)
        link = folder / f"{name}.yaml"
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}.yaml")
    (folder / "..data_tmp").symlink_to(content.name)
    (folder / "..data_tmp").rename(folder / "..data")


def test_a_mounted_config_map_is_an_owners_folder(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    folder = tmp_path / "policies/mounted"
    mount(folder, "v1", mine=GATEWAY.replace("NAME", "a"))
    assert names(directory) == ["a"]
    mount(folder, "v2", mine=GATEWAY.replace("NAME", "b"))
    assert names(directory) == ["b"]
    mount(folder, "v3", mine="broken: [")
    for process in (directory, PolicyDirectory(tmp_path)):
        assert names(process) == ["b"]
        assert process.problems[0].startswith(f"{folder}/mine.yaml:1: ")


def test_what_lies_beside(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    text = GATEWAY.replace("NAME", "a")
    (tmp_path / "policies/demo").mkdir()
    (tmp_path / "policies/demo/mine.yml").write_text(text)
    (tmp_path / "policies/demo/.#mine.yml").symlink_to("an-editors-lock")
    (tmp_path / "policies/demo/other.json").write_text(json.dumps(gateways("b")[0].to_document()))
    (tmp_path / "policies/stray.yaml").write_text(text)
    assert names(directory) == names(PolicyDirectory(tmp_path)) == ["a", "b"]
    assert directory.problems == (
        f"{tmp_path}/policies/stray.yaml: is no owner's folder; policies are in OWNER/NAME.yaml",
    )
    directory.replace("demo", [])
    assert names(directory) == []


def test_a_file_removed_while_nobody_looked_does_not_come_back(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a"))
    assert names(directory) == ["a"]
    file = tmp_path / "policies/demo/Gateway.default.a.yaml"
    file.unlink()
    later = PolicyDirectory(tmp_path)
    assert names(later) == []
    file.write_text("broken: [")
    assert names(PolicyDirectory(tmp_path)) == []


def test_the_longest_names_have_files_of_their_own(tmp_path: Path) -> None:
    longest = [f"{'a' * 252}{end}" for end in "bc"]
    policies = [WorkloadEntry.of(name, WorkloadEntrySpec(address="10.0.0.1"), "n" * 63) for name in longest]
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", policies)
    assert sorted(names(directory)) == longest


def test_a_defect_in_reading_one_file_ends_nothing(tmp_path: Path) -> None:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", gateways("a", "b"))
    assert names(directory) == ["a", "b"]
    file = tmp_path / "policies/demo/Gateway.default.a.yaml"
    file.write_text(file.read_text().replace("a.example", "c.example"))

    def fails(_policy: Policy) -> list[str]:
        raise RuntimeError

    directory.refuse = fails
    assert names(directory) == ["a", "b"]
    assert directory.problems == (f"{file}: cannot be read: RuntimeError; take away what was changed last",)
