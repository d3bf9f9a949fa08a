"""``mesh-proxy check``: everything that a configuration asks for in vain is named, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from mesh_proxy.__main__ import EX_DATAERR, EX_USAGE, main

DUMPS = Path(__file__).parents[4] / "shared" / "istiod-dumps"
PROXIES = sorted(file.parent for file in DUMPS.glob("*/*/cds.json"))
CLUSTER: dict[str, Any] = {"name": "a", "type": "STATIC", "load_assignment": {"cluster_name": "a"}}


def written(folder: Path, **files: Any) -> Path:
    for name, value in files.items():
        (folder / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return folder


@pytest.mark.parametrize("folder", PROXIES, ids=[f"{folder.parent.name}-{folder.name}" for folder in PROXIES])
def test_what_a_real_istiod_sends_is_fine(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--xds", str(folder)]) == 0
    assert capsys.readouterr().err == ""


def test_every_problem_is_told_and_not_only_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = [{**CLUSTER, "name": name, field: 1} for name, field in (("b", "wishes"), ("c", "hopes"))]
    assert main(["check", "--xds", str(written(tmp_path, cds=[CLUSTER, *unknown]))]) == EX_DATAERR
    first, second = capsys.readouterr().err.splitlines()
    assert "cluster b" in first
    assert "wishes" in first
    assert "cluster c" in second
    assert "hopes" in second


def test_a_part_of_a_dump_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--xds", str(written(tmp_path, cds=[CLUSTER]))]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: fine\n"


@pytest.mark.parametrize("files", [{}, {"cds": "["}, {"cds": {}}, {"lds": [1]}])
def test_what_is_no_dump_is_refused(files: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--xds", str(written(tmp_path, **files))]) == EX_USAGE
    assert str(tmp_path) in capsys.readouterr().err


@pytest.mark.parametrize("form", [["check", "--config"], ["--check", "--bootstrap"]])
def test_a_bootstrap_is_looked_at_as_a_worker_would(
    form: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bootstrap.json"
    file.write_text(json.dumps({"static_resources": {"clusters": [CLUSTER]}}))
    assert main([*form, str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: fine\n"
    file.write_text(json.dumps({"static_resources": {"clusters": [{**CLUSTER, "wishes": 1}]}}))
    assert main([*form, str(file)]) == EX_USAGE
    assert "wishes" in capsys.readouterr().err


def test_without_a_configuration_it_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == EX_USAGE
    assert "mesh-proxy run --config FILE" in capsys.readouterr().err
