"""Which Pulumi is used, and that a download is believed only with its checksum."""

import hashlib
import http.server
import io
import shutil
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from meshwright_tools import pulumi_cli
from meshwright_tools.checkout import ROOT, Checkout
from meshwright_tools.progress import Progress, StepError

VERSION = "3.259.0"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A checkout with the real pin and the real language host, and an empty cache."""
    root = tmp_path / "checkout"
    (root / "tools" / "pulumi-cli").mkdir(parents=True)
    (root / "tools" / "pulumi-cli" / "go.mod").write_text(
        f"module x\n\ngo 1.25\n\nrequire (\n\t{pulumi_cli.MODULE} v{VERSION} // indirect\n)\n"
    )
    shutil.copytree(ROOT / "tools" / "pulumi-host", root / "tools" / "pulumi-host")
    return Checkout(root, tmp_path / "cache")


def program(directory: Path, name: str, says: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("says", "host", "suits"),
    [
        ("v3.259.0", True, True),
        ("v3.200.0", True, True),
        ("v3.300.1-alpha.5", True, True),
        ("v3.199.9", True, False),
        ("v4.0.0", True, False),
        ("", True, False),
        ("v3.259.0", False, False),
    ],
)
def test_an_installed_pulumi_is_used_when_it_suits(tmp_path: Path, says: str, host: bool, suits: bool) -> None:
    program(tmp_path / "bin", "pulumi", says)
    if host:
        program(tmp_path / "bin", "pulumi-language-python", "")
    found = pulumi_cli.installed({"PATH": str(tmp_path / "bin")}, tmp_path / "own")
    assert found == (tmp_path / "bin" if suits else None)


def test_our_own_on_path_is_not_taken_for_the_users(tmp_path: Path) -> None:
    program(tmp_path / "own", "pulumi", "v3.259.0")
    program(tmp_path / "own", "pulumi-language-python", "")
    assert pulumi_cli.installed({"PATH": str(tmp_path / "own")}, tmp_path / "own") is None


def test_the_pin_is_read_from_the_go_module(checkout: Checkout) -> None:
    assert pulumi_cli.pinned_version(checkout) == VERSION


def test_a_built_pulumi_gets_our_host_beside_it_and_a_changed_host_is_replaced(checkout: Checkout) -> None:
    own = pulumi_cli.home(checkout) / "bin"
    program(own, "pulumi", f"v{VERSION}")
    assert pulumi_cli.find(checkout, {"PATH": ""}) is None, "incomplete without a language host"
    assert pulumi_cli.ensure(checkout, Progress(io.StringIO()), {"PATH": ""}) == own
    assert pulumi_cli.find(checkout, {"PATH": ""}) == own
    server = pulumi_cli.home(checkout) / "host" / "meshwright_pulumi_host" / "server.py"
    server.write_text("old")
    assert pulumi_cli.find(checkout, {"PATH": ""}) is None
    pulumi_cli.ensure(checkout, Progress(io.StringIO()), {"PATH": ""})
    assert "LanguageRuntime" in server.read_text()


def test_without_go_the_error_names_both_ways_out(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *args, **kwargs: None)
    with pytest.raises(StepError, match=r"install Pulumi >= 3\.200\.0 yourself .* or Go >= 1\.21"):
        pulumi_cli.ensure(checkout, Progress(io.StringIO()), {"PATH": "", "MESHWRIGHT_PULUMI_RELEASES": ""})


def test_a_go_that_is_too_old_is_named(checkout: Checkout, tmp_path: Path) -> None:
    program(tmp_path / "go", "go", "go1.19.8")
    environment = {"PATH": str(tmp_path / "go"), "MESHWRIGHT_PULUMI_RELEASES": ""}
    with pytest.raises(StepError, match=r"is go1\.19\.8"):
        pulumi_cli.ensure(checkout, Progress(io.StringIO()), environment)


class Releases:
    """A server of releases on loopback."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        releases = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = releases.files.get(self.path.rsplit("/", 1)[-1])
                self.send_response(404 if content is None else 200)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}/v{{version}}"

    def publish(self, archive: bytes, digest: str | None = None) -> None:
        name = pulumi_cli._archive_name(VERSION)
        assert name is not None
        digest = digest or hashlib.sha256(archive).hexdigest()
        self.files[name] = archive
        self.files[f"pulumi-{VERSION}-checksums.txt"] = f"{digest}  {name}\n{'0' * 64}  other.tar.gz\n".encode()


@pytest.fixture
def releases() -> Iterator[Releases]:
    served = Releases()
    thread = threading.Thread(target=served.server.serve_forever)
    thread.start()
    yield served
    served.server.shutdown()
    thread.join()
    served.server.server_close()


def release_archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
            content = f"#!/bin/sh\necho v{VERSION}\n".encode()
            member = tarfile.TarInfo(f"pulumi/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_a_release_is_taken_and_keeps_its_own_host(checkout: Checkout, releases: Releases) -> None:
    releases.publish(release_archive())
    environment = {"PATH": "", "MESHWRIGHT_PULUMI_RELEASES": releases.base}
    own = pulumi_cli.ensure(checkout, Progress(io.StringIO()), environment)
    assert pulumi_cli.version_of(own / "pulumi") == (3, 259, 0)
    assert not (pulumi_cli.home(checkout) / "host").exists()
    releases.files.clear()
    assert pulumi_cli.ensure(checkout, Progress(io.StringIO()), environment) == own


def test_a_release_with_another_checksum_is_refused(checkout: Checkout, releases: Releases) -> None:
    releases.publish(release_archive(), digest="f" * 64)
    environment = {"PATH": "", "MESHWRIGHT_PULUMI_RELEASES": releases.base}
    with pytest.raises(StepError, match=r"its checksum file says f{64}\. Nothing was installed"):
        pulumi_cli.ensure(checkout, Progress(io.StringIO()), environment)
    assert not (pulumi_cli.home(checkout) / "bin" / "pulumi").exists()


def test_a_pinned_checksum_counts_and_not_the_one_beside_the_release(checkout: Checkout, releases: Releases) -> None:
    environment = {"PATH": "", "MESHWRIGHT_PULUMI_RELEASES": releases.base}
    archive = release_archive()
    releases.publish(archive)
    pulumi_cli.pin_checksums(checkout, Progress(io.StringIO()), environment)
    pinned = pulumi_cli.pinned_checksums(checkout)
    assert list(pinned) == [pulumi_cli._archive_name(VERSION)]  # nothing else of what the release lists
    other = archive + b"\0"
    releases.publish(other)
    with pytest.raises(StepError, match=rf"{pulumi_cli.CHECKSUMS} says {next(iter(pinned.values()))}\. Nothing was"):
        pulumi_cli.ensure(checkout, Progress(io.StringIO()), environment)
    releases.publish(archive, digest=hashlib.sha256(other).hexdigest())
    own = pulumi_cli.ensure(checkout, Progress(io.StringIO()), environment)
    assert pulumi_cli.version_of(own / "pulumi") == (3, 259, 0)


def test_checksums_that_cannot_be_had_are_not_pinned(checkout: Checkout, releases: Releases) -> None:
    with pytest.raises(StepError, match=r"the checksums of Pulumi 3\.259\.0 are not to be had from http"):
        pulumi_cli.pin_checksums(checkout, Progress(io.StringIO()), {"MESHWRIGHT_PULUMI_RELEASES": releases.base})
    assert pulumi_cli.pinned_checksums(checkout) == {}


def test_without_a_pinned_checksum_the_module_is_built_where_it_can_be(
    checkout: Checkout, releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.publish(release_archive())
    monkeypatch.setattr(pulumi_cli, "RELEASES", releases.base)
    stream = io.StringIO()
    program(tmp_path / "bin", "go", "go1.26.0")
    assert not pulumi_cli._download(checkout, checkout.cache, Progress(stream), {"PATH": str(tmp_path / "bin")})
    assert "no checksum of its release is pinned here; building the module" in stream.getvalue()
    program(tmp_path / "bin", "go", "go1.19.8")
    own = pulumi_cli.ensure(checkout, Progress(io.StringIO()), {"PATH": str(tmp_path / "bin")})
    assert pulumi_cli.version_of(own / "pulumi") == (3, 259, 0)


def test_a_release_that_is_not_there_leads_to_the_build(checkout: Checkout, releases: Releases) -> None:
    stream = io.StringIO()
    assert not pulumi_cli._download(
        checkout, checkout.cache, Progress(stream), {"MESHWRIGHT_PULUMI_RELEASES": releases.base}
    )
    assert "building it instead" in stream.getvalue()
