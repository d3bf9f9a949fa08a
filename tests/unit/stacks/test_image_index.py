"""The index of what has been made: true after each addition, and silent on what is gone."""

import json
from pathlib import Path

import pytest

from stacks.images.index import Image, Index, NodeProgram, digest_of


def image(place: Path, name: str, content: str = "archive") -> Image:
    file = place / "images" / f"{name}.tar"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return Image(name, f"registry.example/{name}:v1", "sha256:12", file, digest_of(file), "recipe")


def program(place: Path, name: str) -> NodeProgram:
    file = place / "kubernetes" / "bin" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("program")
    return NodeProgram(name, "v1", "node", file, digest_of(file))


def test_paths_are_told_from_where_the_index_is(tmp_path: Path) -> None:
    path = tmp_path / "images" / "index.json"
    Index(path).add(image(tmp_path, "pause"), programs=[program(tmp_path, "kubelet")])
    told = json.loads(path.read_text())
    assert told["architecture"] == "amd64"
    assert told["images"] == [
        {
            "name": "pause",
            "reference": "registry.example/pause:v1",
            "digest": "sha256:12",
            "file": "pause.tar",
            "sha256": "0eb3e36bfb24dcd9bb1d1bece1531216b59539a8fde17ee80224af0653c92aa3",
            "recipe": "recipe",
        }
    ]
    assert [one["file"] for one in told["programs"]] == ["../kubernetes/bin/kubelet"]


def test_what_was_made_before_stays_and_what_is_gone_does_not(tmp_path: Path) -> None:
    path = tmp_path / "images" / "index.json"
    gone = image(tmp_path, "etcd")
    Index(path).add(gone, image(tmp_path, "pause"), programs=[program(tmp_path, "kubelet")])
    gone.file.unlink()
    Index(path).add(image(tmp_path, "coredns"))
    found = Index(path)
    assert found.image("pause") == image(tmp_path, "pause")
    assert found.image("coredns") is not None
    assert found.image("etcd") is None
    assert [one["name"] for one in json.loads(path.read_text())["programs"]] == ["kubelet"]


@pytest.mark.parametrize(
    "text", ["", "no JSON", "[]", '{"images": [{"name": "pause"}], "programs": []}', '{"images": 1}']
)
def test_one_of_another_form_knows_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "index.json"
    path.write_text(text)
    assert Index(path).image("pause") is None


def test_a_file_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    assert digest_of(tmp_path / "none") == ""
