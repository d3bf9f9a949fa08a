"""The last good configuration on disk."""

import json
import stat
from pathlib import Path

import pytest

from mesh_api.xds.session import Known
from mesh_api.xds.type_urls import CLUSTER, LISTENER
from mesh_proxy.supervisor.last_good import FILE_NAME, LastGoodError, load, save

NODE = "sidecar~10.0.0.1~order-1.default~default.svc.cluster.local"
KNOWN = {CLUSTER: Known("7", {"a": b"\x00\xff", "b": b""}), LISTENER: Known("", {})}


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    save(tmp_path / "new" / "state", NODE, KNOWN)
    assert load(tmp_path / "new" / "state", NODE) == KNOWN


def test_only_the_owner_reads_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    save(tmp_path, NODE, KNOWN)
    save(tmp_path, NODE, {})
    assert [file.name for file in tmp_path.iterdir()] == [FILE_NAME]
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert load(tmp_path, NODE) == {}


def test_nothing_kept_is_no_error(tmp_path: Path) -> None:
    assert load(tmp_path, NODE) is None


def damage(text: str) -> dict[str, str]:
    envelope = json.loads(text)
    other_format = json.dumps({"format": 99})
    return {
        "empty": "",
        "cut short": text[: len(text) // 2],
        "another document": "[1, 2]",
        "a bit turned": text.replace("AP8=", "AP9="),
        "without content": json.dumps({"digest": envelope["digest"]}),
        "another format without its digest": json.dumps({"digest": "", "content": other_format}),
    }


@pytest.mark.parametrize("how", damage('{"digest": "", "content": ""}').keys())
def test_damaged_file_is_refused_with_its_name(tmp_path: Path, how: str) -> None:
    save(tmp_path, NODE, KNOWN)
    file = tmp_path / FILE_NAME
    file.write_text(damage(file.read_text())[how])
    with pytest.raises(LastGoodError, match=str(file)):
        load(tmp_path, NODE)


def test_file_of_another_node_is_refused(tmp_path: Path) -> None:
    save(tmp_path, NODE, KNOWN)
    with pytest.raises(LastGoodError, match=r"belongs to node sidecar~10.0.0.1.*, not sidecar~other"):
        load(tmp_path, "sidecar~other~a.b~c")


def test_directory_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(LastGoodError, match="Is a directory"):
        load(tmp_path, NODE)
