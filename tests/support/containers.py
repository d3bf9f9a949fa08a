"""Images as containers of a real runtime: unpacked by umoci, run by runc with a root that is only read."""

import json
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TOOLS = ("mmdebstrap", "umoci", "runc")


def missing() -> str | None:
    """Why no image can be made and run here; None when one can."""
    if os.geteuid() != 0:
        return "trees of Debian are made, and containers run, by root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"missing: {', '.join(absent)}" if absent else None


@dataclass(frozen=True)
class Built:
    """An image: its archive, its digest, and the tree that a container of it has."""

    archive: Path
    digest: str
    bundle: Path

    @property
    def tree(self) -> Path:
        return self.bundle / "rootfs"


def unpacked(archive: Path, digest: str, place: Path) -> Built:
    """The image of an archive, unpacked below a directory by somebody else's reading of the format."""
    layout = place / "layout"
    with tarfile.open(archive) as opened:
        opened.extractall(layout, filter="data")
    described = json.loads((layout / "index.json").read_text())["manifests"][0]
    image = f"{layout}:{described['annotations']['org.opencontainers.image.ref.name']}"
    subprocess.run(["umoci", "unpack", "--image", image, str(place / "bundle")], check=True, capture_output=True)
    return Built(archive, digest, place / "bundle")


class Runtime:
    """Containers of runc with a state of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.names: list[str] = []

    def runc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["runc", "--root", str(self.place / "runc"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=120)

    def prepared(
        self,
        image: Built,
        *arguments: str,
        files: dict[str, str] | None = None,
        command: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> str:
        """A bundle that runs the image with arguments, or another command of it, with no capability but those that are named,
        a root that is only read, and files of its own."""
        name = f"image-{uuid.uuid4().hex[:8]}"
        bundle = self.place / name
        bundle.mkdir()
        config = json.loads((image.bundle / "config.json").read_text())
        process = config["process"]
        process["args"] = [*(command or process["args"]), *arguments]
        process["terminal"] = False
        process["noNewPrivileges"] = True
        process["capabilities"] = {kind: list(capabilities) for kind in ("bounding", "effective", "permitted")}
        config["root"] = {"path": str(image.tree), "readonly": True}
        config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]})
        for number, (target, text) in enumerate((files or {}).items()):
            source = bundle / f"file{number}"
            source.write_text(text)
            mount = {"destination": target, "type": "bind", "source": str(source), "options": ["bind", "ro"]}
            config["mounts"].append(mount)
        (bundle / "config.json").write_text(json.dumps(config))
        self.names.append(name)
        return name

    def command(self, name: str) -> list[str]:
        """What runs a bundle in the foreground."""
        return ["runc", "--root", str(self.place / "runc"), "run", "--bundle", str(self.place / name), name]

    def run(
        self,
        image: Built,
        *arguments: str,
        check: bool = True,
        command: Sequence[str] = (),
        capabilities: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """A container to its end."""
        name = self.prepared(image, *arguments, command=command, capabilities=capabilities)
        return self.runc("run", "--bundle", str(self.place / name), name, check=check)

    def until_it_runs(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        """Waits until the runtime knows the container as running; its output is in ``log``."""
        while process.poll() is None:
            state = self.runc("state", name, check=False).stdout
            if state and json.loads(state)["status"] == "running":
                return
        raise AssertionError((self.place / "log").read_text())

    def end(self) -> None:
        for name in self.names:
            self.runc("delete", "--force", name, check=False)
