"""Archives in the OCI image layout, whose bytes depend on their content alone.

Source: https://github.com/opencontainers/image-spec (image-layout.md, manifest.md, config.md, layer.md). Layers are not
compressed: what a compressor makes of the same bytes differs from version to version.
"""

import hashlib
import io
import json
import os
import stat
import struct
import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

EPOCH = "1970-01-01T00:00:00Z"
"""When everything in an image was made."""
_MEDIA = "application/vnd.oci.image"
_BLOCK = 1 << 20
_CAPABILITY = "SCHILY.xattr.security.capability"
"""How layers name extended attributes (layer.md), and the kernel the one with a file's capabilities."""
_NET_BIND_SERVICE = struct.pack("<5I", 0x02000001, 1 << 10, 0, 0, 0).decode("ascii")
"""That capability, permitted and effective (``struct vfs_cap_data``, revision 2, of ``linux/capability.h``)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A tree of files of the host, all of root in the image but what ``owned`` names: path to its owner's id, who then has
    it alone (0700). ``low_ports`` are the paths of programs that may serve on ports below 1024 whoever runs them, where the
    container has that capability (CAP_NET_BIND_SERVICE); without it they may not even be run."""

    tree: Path
    owned: Mapping[str, int] = field(default_factory=dict)
    low_ports: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    """How a container of the image begins. ``user`` is ``UID:GID``; ``ports`` are those that it serves (TCP)."""

    entrypoint: tuple[str, ...]
    user: str
    environment: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


def write(
    target: Path, reference: str, layers: Sequence[Layer], settings: Settings, architecture: str = "amd64"
) -> str:
    """Writes an archive for ``ctr images import``, ``skopeo`` and ``podman load``; returns the digest of the image
    (``sha256:...``), by which a registry would know it.

    ``reference`` is its name with a tag. Raises :class:`ValueError` where a tree holds what an image is not to have: devices,
    sockets, or files that run as their owner (setuid).
    """
    fresh = target.with_name(f".{target.name}.new")
    scratch = [target.with_name(f".{target.name}.layer{number}") for number in range(len(layers))]
    try:
        blobs = [_blob(file, layer) for file, layer in zip(scratch, layers, strict=True)]
        config = _json(_config(settings, [digest for digest, _size in blobs], architecture))
        manifest = _json(_manifest(config, blobs))
        index = _json(_index(manifest, reference, architecture))
        with tarfile.open(fresh, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
            _add(archive, "index.json", index)
            for content in sorted((config, manifest), key=_digest):
                _add(archive, _place(_digest(content)), content)
            for file, (digest, size) in sorted(zip(scratch, blobs, strict=True), key=lambda pair: pair[1]):
                with file.open("rb") as layer:
                    archive.addfile(_member(_place(digest), size), layer)
        fresh.replace(target)
    finally:
        for file in (fresh, *scratch):
            file.unlink(missing_ok=True)
    return _digest(manifest)


def _config(settings: Settings, layers: list[str], architecture: str) -> dict[str, Any]:
    return {
        "created": EPOCH,
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": settings.user,
            "Entrypoint": list(settings.entrypoint),
            "Env": [f"{name}={value}" for name, value in sorted(settings.environment.items())],
            "ExposedPorts": {f"{port}/tcp": {} for port in sorted(settings.ports)},
            "Labels": dict(settings.labels),
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": layers},
    }


def _manifest(config: bytes, layers: list[tuple[str, int]]) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{_MEDIA}.manifest.v1+json",
        "config": _descriptor("config.v1+json", _digest(config), len(config)),
        "layers": [_descriptor("layer.v1.tar", digest, size) for digest, size in layers],
    }


def _index(manifest: bytes, reference: str, architecture: str) -> dict[str, Any]:
    _name, colon, tag = reference.rpartition(":")
    if not colon or "/" in tag:
        raise ValueError(f"image {reference!r} has no tag; write NAME:TAG")
    described = _descriptor("manifest.v1+json", _digest(manifest), len(manifest))
    described["platform"] = {"architecture": architecture, "os": "linux"}
    # The first is for tools, the second for containerd, which else gives it a name of its own.
    described["annotations"] = {"org.opencontainers.image.ref.name": tag, "io.containerd.image.name": reference}
    return {"schemaVersion": 2, "mediaType": f"{_MEDIA}.index.v1+json", "manifests": [described]}


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"{_MEDIA}.{kind}", "digest": digest, "size": size}


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _place(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _member(name: str, size: int, mode: int = 0o644) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, mode
    return member


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_member(name, len(content)), io.BytesIO(content))


def _blob(target: Path, layer: Layer) -> tuple[str, int]:
    """Writes a layer; its digest and size."""
    with target.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in _paths(layer.tree):
            member = _of(layer, path)
            if not member.isreg():
                archive.addfile(member)
                continue
            with path.open("rb") as content:
                archive.addfile(member, content)
    with target.open("rb") as written:
        return _digest_of(written), target.stat().st_size


def _digest_of(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _paths(tree: Path) -> Iterator[Path]:
    """Everything in a tree, a directory before what it holds, in an order that no file system decides."""
    for entry in sorted(os.scandir(tree), key=lambda entry: entry.name):
        yield Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _paths(Path(entry.path))


def _of(layer: Layer, path: Path) -> tarfile.TarInfo:
    name = str(path.relative_to(layer.tree))
    member, found = tarfile.TarInfo(name), path.lstat()
    if stat.S_ISLNK(found.st_mode):
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
    elif stat.S_ISDIR(found.st_mode):
        # A directory for everybody stays one: /tmp.
        member.type, member.mode = tarfile.DIRTYPE, 0o1777 if found.st_mode & stat.S_ISVTX else 0o755
    elif not stat.S_ISREG(found.st_mode) or found.st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise ValueError(
            f"{path}: an image holds files, directories and links alone, and nothing that runs as its owner"
        )
    else:
        member.size, member.mode = found.st_size, 0o755 if found.st_mode & stat.S_IXUSR else 0o644
    if name in layer.low_ports:
        member.pax_headers = {_CAPABILITY: _NET_BIND_SERVICE}
    if name in layer.owned:
        member.uid = member.gid = layer.owned[name]
        member.mode = 0o700
    return member
