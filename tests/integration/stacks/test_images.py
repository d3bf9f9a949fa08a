"""Our images, as containers of a real runtime: unpacked by umoci, run by runc without root, with a root that is only read."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.stacks import ROOT

from stacks.images import IMAGES, build

TOOLS = ("mmdebstrap", "umoci", "runc")


def missing() -> str | None:
    """Why no image can be made and run here; None when one can."""
    if os.geteuid() != 0:
        return "trees of Debian are made, and containers run, by root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"missing: {', '.join(absent)}" if absent else None


REASON = missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
PLANS = {plan.name: plan for plan in IMAGES}
PROXY = """
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 15000}}}
static_resources:
  listeners:
    - name: hello
      address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: hello
                http_filters:
                  - name: envoy.filters.http.router
                    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: hello}}}]
"""
ASK = """
import sys, time, urllib.request
for _ in range(300):
    try:
        print(urllib.request.urlopen(sys.argv[1], timeout=1).read().decode())
        break
    except OSError:
        time.sleep(0.1)
"""


@dataclass(frozen=True)
class Built:
    """An image: its archive, its digest, and the tree that a container of it has."""

    archive: Path
    digest: str
    bundle: Path

    @property
    def tree(self) -> Path:
        return self.bundle / "rootfs"


@pytest.fixture(scope="module")
def wheels() -> Path:
    """The archive of wheels, the plain one of ours: what is looked at here is the same with the compiled one."""
    environment = {**os.environ, "HOST_WHEEL": "plain"}
    command = [str(ROOT / "tools" / "wheelhouse")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=ROOT)
    return Path(done.stdout.strip().splitlines()[-1])


@pytest.fixture(scope="module", params=sorted(PLANS))
def image(request: pytest.FixtureRequest, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp(request.param)
    digest = build(PLANS[request.param], wheels, place / "image.tar", "meshwright")
    layout = place / "layout"
    with tarfile.open(place / "image.tar") as archive:
        archive.extractall(layout, filter="data")
    tag = json.loads((layout / "index.json").read_text())["manifests"][0]["annotations"][
        "org.opencontainers.image.ref.name"
    ]
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:{tag}", str(place / "bundle")], check=True, capture_output=True
    )
    return Built(place / "image.tar", digest, place / "bundle")


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator["Runtime"]:
    found = Runtime(tmp_path)
    try:
        yield found
    finally:
        found.end()


class Runtime:
    """Containers of runc with a state of their own."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.names: list[str] = []

    def runc(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = ["runc", "--root", str(self.place / "runc"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=check, timeout=120)

    def prepared(self, image: Built, *arguments: str, files: dict[str, str] | None = None) -> str:
        """A bundle that runs the image with arguments: no capability, a root that is only read, files of its own."""
        name = f"image-{uuid.uuid4().hex[:8]}"
        bundle = self.place / name
        bundle.mkdir()
        config = json.loads((image.bundle / "config.json").read_text())
        process = config["process"]
        process["args"] += arguments
        process["terminal"] = False
        process["capabilities"] = {}
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

    def run(self, image: Built, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A container to its end."""
        name = self.prepared(image, *arguments)
        return self.runc("run", "--bundle", str(self.place / name), name, check=check)

    def end(self) -> None:
        for name in self.names:
            self.runc("delete", "--force", name, check=False)


def test_the_same_packages_and_wheels_make_the_same_image(image: Built, wheels: Path, tmp_path: Path) -> None:
    plan = next(plan for plan in IMAGES if plan.name in str(image.archive.parent.name))
    assert build(plan, wheels, tmp_path / "again.tar", "meshwright") == image.digest
    assert (tmp_path / "again.tar").read_bytes() == image.archive.read_bytes()


def test_the_only_program_is_python(image: Built) -> None:
    directories = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")
    programs = [path.name for directory in directories for path in (image.tree / directory).glob("*")]
    assert sorted(programs) == ["python3", "python3.11"]
    for path in image.tree.rglob("*"):
        mode = path.lstat().st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID)
        assert stat.S_ISLNK(mode) or path.name == "tmp" or not mode & stat.S_IWOTH, path
        assert (
            not stat.S_ISREG(mode) or path.suffix in (".so", ".py", ".pyc") or b"#!/" not in path.open("rb").read(3)
        ), path


def test_it_says_of_which_packages_it_is_made(image: Built) -> None:
    bill = (image.tree / "usr/share/meshwright/debian-packages").read_text().splitlines()
    found = dict(reversed(line.split()) for line in bill)
    assert any(name.startswith("libssl3_3.") for name in found)
    assert all(len(checksum) == 64 for checksum in found.values())


def test_it_runs_without_root(image: Built, runtime: Runtime) -> None:
    config = json.loads((image.bundle / "config.json").read_text())
    assert config["process"]["user"] == {"uid": 65532, "gid": 65532}
    assert "usage: mesh-" in runtime.run(image, "--help").stdout


def test_no_directory_of_others_adds_to_what_it_imports(image: Built, runtime: Runtime) -> None:
    """A container's variables and its working directory are set by others."""
    name = runtime.prepared(image, "--help", files={"/tmp/argparse.py": "raise SystemExit('not ours')"})
    file = runtime.place / name / "config.json"
    config = json.loads(file.read_text())
    config["process"]["env"].append("PYTHONPATH=/tmp")
    config["process"]["cwd"] = "/tmp"
    file.write_text(json.dumps(config))
    assert "usage: mesh-" in runtime.runc("run", "--bundle", str(runtime.place / name), name).stdout


@pytest.mark.parametrize("image", ["proxy"], indirect=True)
def test_the_proxy_serves_in_a_container(image: Built, runtime: Runtime) -> None:
    name = runtime.prepared(image, "run", "--config", "/etc/proxy.yml", files={"/etc/proxy.yml": PROXY})
    with (runtime.place / "log").open("wb") as log:
        command = ["runc", "--root", str(runtime.place / "runc"), "run", "--bundle", str(runtime.place / name), name]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            python = ("exec", name, "/usr/bin/python3", "-c", ASK)
            until_it_runs(runtime, name, process)
            assert runtime.runc(*python, "http://127.0.0.1:15000/ready").stdout == "LIVE\n\n"
            assert runtime.runc(*python, "http://127.0.0.1:8080/").stdout == "hello\n"
            runtime.runc("kill", name, "TERM")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()


def until_it_runs(runtime: Runtime, name: str, process: "subprocess.Popen[bytes]") -> None:
    """Waits until the runtime knows the container as running."""
    while process.poll() is None:
        state = runtime.runc("state", name, check=False).stdout
        if state and json.loads(state)["status"] == "running":
            return
    raise AssertionError((runtime.place / "log").read_text())


def test_the_command_names_what_there_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stacks.images", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "there is no image 'nothing'; there are control, proxy" in done.stderr
