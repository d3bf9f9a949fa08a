"""What stands in an archive of an image, whatever the file system says of the files."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from stacks.images.archive import Layer, Settings, write

SETTINGS = Settings(("/usr/bin/program", "-v"), "65532:65532", {"B": "2", "A": "1"}, (15012, 15010), {"label": "yes"})
NAME = "meshwright/control:0.1.0"


def tree(place: Path, names: tuple[str, ...], *, when: float, mask: int) -> Path:
    """A tree with a program, a text, a link, a directory for all and one of somebody's own."""
    before = os.umask(mask)
    try:
        for name in names:
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == "tmp":
                path.mkdir()
                path.chmod(0o1777)
            elif name == "var/state":
                path.mkdir()
            elif name == "usr/bin/other":
                path.symlink_to("program")
            else:
                path.write_text(f"this is {name}")
        (place / "usr/bin/program").chmod(0o755 & ~mask | 0o100)
        for path in place.rglob("*"):
            os.utime(path, (when, when), follow_symlinks=False)
    finally:
        os.umask(before)
    return place


NAMES = ("usr/bin/program", "usr/bin/other", "usr/share/text", "var/state", "tmp")


def members(archive: Path) -> dict[str, bytes]:
    """What an archive holds."""
    with tarfile.open(archive) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened}  # type: ignore[union-attr]


def test_the_same_content_makes_the_same_bytes(tmp_path: Path) -> None:
    first = tree(tmp_path / "first", NAMES, when=1e9, mask=0o022)
    second = tree(tmp_path / "second", tuple(reversed(NAMES)), when=1.5e9, mask=0o077)
    digests = [
        write(tmp_path / f"{number}.tar", NAME, [Layer(place, {"var/state": 65532})], SETTINGS)
        for number, place in enumerate((first, second))
    ]
    assert digests[0] == digests[1]
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.tar", "1.tar", "first", "second"]


def test_what_refers_to_what(tmp_path: Path) -> None:
    """By the image specification: the index to the manifest, that to the configuration and the layers, each by its digest."""
    target = tmp_path / "image.tar"
    digest = write(target, NAME, [Layer(tree(tmp_path / "tree", NAMES, when=0, mask=0o022))], SETTINGS)
    found = members(target)
    assert json.loads(found["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    for name, content in found.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"
    (described,) = json.loads(found["index.json"])["manifests"]
    assert described["digest"] == digest
    assert described["annotations"] == {
        "org.opencontainers.image.ref.name": "0.1.0",
        "io.containerd.image.name": "meshwright/control:0.1.0",
    }
    manifest = json.loads(found[f"blobs/{digest.replace(':', '/')}"])
    config = json.loads(found[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]
    assert config["config"] == {
        "User": "65532:65532",
        "Entrypoint": ["/usr/bin/program", "-v"],
        "Env": ["A=1", "B=2"],
        "ExposedPorts": {"15010/tcp": {}, "15012/tcp": {}},
        "Labels": {"label": "yes"},
        "WorkingDir": "/",
    }


def test_files_are_of_root_but_what_has_an_owner(tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    place = tree(tmp_path / "tree", NAMES, when=5, mask=0o077)
    write(target, NAME, [Layer(place, {"var/state": 65532})], SETTINGS)
    (layer,) = (
        content for name, content in members(target).items() if name.startswith("blobs/") and content[:1] != b"{"
    )
    (tmp_path / "layer.tar").write_bytes(layer)
    with tarfile.open(tmp_path / "layer.tar") as opened:
        found = {member.name: (oct(member.mode), member.uid, member.gid, member.mtime) for member in opened}
    assert found == {
        "tmp": ("0o1777", 0, 0, 0),
        "usr": ("0o755", 0, 0, 0),
        "usr/bin": ("0o755", 0, 0, 0),
        "usr/bin/other": ("0o777", 0, 0, 0),
        "usr/bin/program": ("0o755", 0, 0, 0),
        "usr/share": ("0o755", 0, 0, 0),
        "usr/share/text": ("0o644", 0, 0, 0),
        "var": ("0o755", 0, 0, 0),
        "var/state": ("0o700", 65532, 65532, 0),
    }


def test_what_runs_as_its_owner_is_refused(tmp_path: Path) -> None:
    place = tree(tmp_path / "tree", NAMES, when=0, mask=0o022)
    (place / "usr/bin/program").chmod(0o4755)
    with pytest.raises(ValueError, match="usr/bin/program: an image holds files, directories and links alone"):
        write(tmp_path / "image.tar", NAME, [Layer(place)], SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


@pytest.mark.parametrize("name", ["meshwright/control", "registry:5000/control"])
def test_a_name_has_a_tag(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="has no tag"):
        write(tmp_path / "image.tar", name, [Layer(tree(tmp_path / "tree", NAMES, when=0, mask=0o022))], SETTINGS)


def test_a_program_may_serve_on_low_ports_without_root(tmp_path: Path) -> None:
    target = tmp_path / "image.tar"
    place = tree(tmp_path / "tree", ("usr/bin/program", "usr/bin/more"), when=0, mask=0o022)
    write(target, NAME, [Layer(place, low_ports=["usr/bin/program"])], SETTINGS)
    (layer,) = (
        content for name, content in members(target).items() if name.startswith("blobs/") and content[:1] != b"{"
    )
    with tarfile.open(fileobj=io.BytesIO(layer)) as opened:
        told = {member.name: dict(member.pax_headers) for member in opened}
    # What `setcap cap_net_bind_service=+ep` sets.
    capability = bytes.fromhex("01000002 00040000 00000000 00000000 00000000").decode()
    assert told["usr/bin/program"]["SCHILY.xattr.security.capability"] == capability
    assert told["usr/bin/more"] == {}
