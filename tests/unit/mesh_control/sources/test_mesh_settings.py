"""The settings of the mesh in files."""

from pathlib import Path

from mesh_control.sources.mesh_settings import MeshSettings
from mesh_policy.mesh_config import MeshConfig, MeshNetworks

NETWORKS = "networks: {far: {endpoints: [{fromRegistry: Kubernetes}], gateways: [{address: 10.0.0.9, port: 15443}]}}"


def files(folder: Path, config: str | None = None, networks: str | None = None) -> MeshSettings:
    paths = []
    for name, text in (("mesh.yml", config), ("networks.yml", networks)):
        paths.append(folder / name if text is not None else None)
        if text is not None:
            (folder / name).write_text(text)
    return MeshSettings(*paths)


def test_what_no_file_says_nobody_says(tmp_path: Path) -> None:
    said = files(tmp_path, networks=NETWORKS).read()
    assert said.mesh is None
    assert said.networks is not None
    assert list(said.networks.networks) == ["far"]
    assert files(tmp_path, "").read().mesh == MeshConfig()


def test_a_config_map_has_both(tmp_path: Path) -> None:
    text = (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\n"
        f'data: {{mesh: "trustDomain: own.example", meshNetworks: "{NETWORKS}"}}\n'
    )
    said = files(tmp_path, text).read()
    assert said.mesh is not None
    assert said.mesh.trust_domain == "own.example"
    assert said.networks is not None
    assert list(said.networks.networks) == ["far"]
    other = files(tmp_path, text, "networks: {}").read()
    assert other.networks == MeshNetworks(networks={})


def test_until_a_good_one_was_there_nobody_is_served(tmp_path: Path) -> None:
    source = files(tmp_path, "trustDomain: own.example\nrootNamspace: a\n")
    said = source.read()
    assert not source.synced
    assert said.mesh is None
    (problem,) = said.problems
    assert problem.startswith(f"{tmp_path}/mesh.yml:2: ")
    assert "rootNamspace" in problem
    files(tmp_path, "trustDomain: own.example\n")
    assert source.read().problems == ()
    assert source.synced


def test_a_broken_one_keeps_the_last_good(tmp_path: Path) -> None:
    source = files(tmp_path, "trustDomain: own.example\n")
    good = source.read().mesh
    (tmp_path / "mesh.yml").unlink()
    said = source.read()
    assert (said.mesh, source.synced) == (good, True)
    assert "mesh.yml: cannot be read: No such file" in said.problems[0]
