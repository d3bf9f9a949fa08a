"""Images of our programs, as containers of a real runtime: unpacked by umoci, run by runc without root and with a root that
is only read."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.containers import Built, Runtime, missing, unpacked
from support.stacks import ROOT

from stacks.images import MESH, WORKLOADS, build

REASON = missing()
pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(REASON is not None, reason=REASON or ""),
]
PLANS = {plan.name: plan for plan in (*MESH, *WORKLOADS)}
CALLED = {"proxy": ["nft"], "database": ["sh"]}
"""Image to what its programs call, where they are looked for."""
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


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of wheels, the plain one of ours: what is looked at here is the same with the compiled one. It is of these
    tests alone: the checkout's own changes while another process makes an environment."""
    archive = tmp_path_factory.mktemp("wheels") / "wheels.tar"
    command = [str(ROOT / "tools" / "wheelhouse"), "--archive", str(archive)]
    subprocess.run(command, capture_output=True, check=True, env={**os.environ, "HOST_WHEEL": "plain"}, cwd=ROOT)
    return archive


@pytest.fixture(scope="module", params=sorted(PLANS))
def image(request: pytest.FixtureRequest, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp(request.param)
    digest = build(PLANS[request.param], wheels, place / "image.tar", "meshwright")
    return unpacked(place / "image.tar", digest, place)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    found = Runtime(tmp_path)
    try:
        yield found
    finally:
        found.end()


def test_the_same_packages_and_wheels_make_the_same_image(image: Built, wheels: Path, tmp_path: Path) -> None:
    plan = next(plan for plan in PLANS.values() if plan.name in str(image.archive.parent.name))
    assert build(plan, wheels, tmp_path / "again.tar", "meshwright") == image.digest
    assert (tmp_path / "again.tar").read_bytes() == image.archive.read_bytes()


DIRECTORIES = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin")
SHELL = "bin/sh"
"""What stands for one in the database's image."""


def programs(image: Built) -> list[str]:
    return sorted(path.name for directory in DIRECTORIES for path in (image.tree / directory).glob("*"))


def test_it_has_no_program_but_python_and_what_it_calls(image: Built) -> None:
    assert programs(image) == sorted(
        ["python3", "python3.11", *CALLED.get(image.archive.parent.name.rstrip("0123456789"), ())]
    )


def test_nothing_in_it_runs_as_its_owner_or_is_a_script(image: Built) -> None:
    for path in image.tree.rglob("*"):
        mode = path.lstat().st_mode
        assert not mode & (stat.S_ISUID | stat.S_ISGID)
        assert stat.S_ISLNK(mode) or path.name == "tmp" or not mode & stat.S_IWOTH, path
        assert (
            not stat.S_ISREG(mode)
            or path.suffix in (".so", ".py", ".pyc")
            or path == image.tree / SHELL
            or b"#!/" not in path.open("rb").read(3)
        ), path


def test_it_says_of_which_packages_it_is_made(image: Built) -> None:
    bill = (image.tree / "usr/share/meshwright/debian-packages/python").read_text().splitlines()
    found = dict(reversed(line.split()) for line in bill)
    assert any(name.startswith("libssl3_3.") for name in found)
    assert all(len(checksum) == 64 for checksum in found.values())


def test_it_runs_without_root(image: Built, runtime: Runtime) -> None:
    config = json.loads((image.bundle / "config.json").read_text())
    assert config["process"]["user"] == {"uid": 65532, "gid": 65532}
    assert "usage: mesh" in runtime.run(image, "--help").stdout


def test_no_directory_of_others_adds_to_what_it_imports(image: Built, runtime: Runtime) -> None:
    """A container's variables and its working directory are set by others."""
    name = runtime.prepared(image, "--help", files={"/tmp/argparse.py": "raise SystemExit('not ours')"})
    file = runtime.place / name / "config.json"
    config = json.loads(file.read_text())
    config["process"]["env"].append("PYTHONPATH=/tmp")
    config["process"]["cwd"] = "/tmp"
    file.write_text(json.dumps(config))
    assert "usage: mesh" in runtime.runc("run", "--bundle", str(runtime.place / name), name).stdout


@pytest.mark.parametrize("image", ["proxy"], indirect=True)
def test_the_proxy_serves_in_a_container(image: Built, runtime: Runtime) -> None:
    name = runtime.prepared(image, "run", "--config", "/etc/proxy.yml", files={"/etc/proxy.yml": PROXY})
    with (runtime.place / "log").open("wb") as log:
        process = subprocess.Popen(runtime.command(name), stdout=log, stderr=log)
        try:
            python = ("exec", name, "/usr/bin/python3", "-c", ASK)
            runtime.until_it_runs(name, process)
            assert runtime.runc(*python, "http://127.0.0.1:15000/ready").stdout == "LIVE\n\n"
            assert runtime.runc(*python, "http://127.0.0.1:8080/").stdout == "hello\n"
            runtime.runc("kill", name, "TERM")
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()


LOG_IN = """
import psycopg, sys
login = {"host": "127.0.0.1", "user": "program", "dbname": "services", "connect_timeout": 10}
for _ in range(100):
    try:
        with psycopg.connect(**login, password=sys.argv[1]) as connection:
            for statement in sys.argv[2:]:
                asked = connection.execute(statement)
            print(asked.fetchone()[0])
        break
    except psycopg.OperationalError as error:
        if "Connection refused" not in str(error) and "starting up" not in str(error):
            print(str(error).partition("FATAL:")[2].strip())
            break
        import time
        time.sleep(0.1)
"""
"""Prints the first value of the last of some statements, or why nobody is let in."""


@contextmanager
def database(image: Built, runtime: Runtime, password: str) -> Iterator[Callable[..., str]]:
    """The database in a container on the volume of the test; gives what logs in and asks."""
    name = runtime.prepared(
        image, "--password-file=/run/secrets/password", files={"/run/secrets/password": f"{password}\n"}
    )
    file = runtime.place / name / "config.json"
    config = json.loads(file.read_text())
    volume = {"destination": "/var/lib/meshwright", "type": "bind", "source": str(runtime.place / "volume")}
    config["mounts"].append(volume | {"options": ["bind", "rw"]})
    file.write_text(json.dumps(config))
    with (runtime.place / "log").open("wb") as log:
        process = subprocess.Popen(runtime.command(name), stdout=log, stderr=log)
        try:
            runtime.until_it_runs(name, process)
            yield lambda *words: runtime.runc("exec", name, "/usr/bin/python3", "-c", LOG_IN, *words).stdout.strip()
        finally:
            runtime.runc("kill", name, "KILL", check=False)  # as a machine that loses power
            process.wait()
    assert password not in (runtime.place / "log").read_text()


@pytest.mark.parametrize("image", ["database"], indirect=True)
def test_the_database_is_made_once_and_outlives_its_server(image: Built, runtime: Runtime) -> None:
    (runtime.place / "volume").mkdir()
    os.chown(runtime.place / "volume", 65532, 65532)
    with database(image, runtime, "first's") as ask:
        assert ask("first's", "CREATE TABLE kept AS SELECT 42 AS value", "SELECT value FROM kept") == "42"
        assert ask("other", "SELECT 1") == 'password authentication failed for user "program"'
        assert ask("first's", "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == "False"
        assert ask("first's", "SELECT current_setting('lc_collate')") == "C.UTF-8"
    with database(image, runtime, "second") as ask:
        assert ask("second", "SELECT value FROM kept") == "42"
        assert "password authentication failed" in ask("first's", "SELECT 1")


@pytest.mark.parametrize("image", ["database"], indirect=True)
def test_the_database_has_no_shell_but_what_runs_its_server(image: Built, runtime: Runtime) -> None:
    refused = runtime.run(image, "-c", "/usr/bin/python3 --version", command=["/bin/sh"], check=False)
    assert (refused.returncode, refused.stdout) == (126, "")
    assert "programs are those below /usr/lib/postgresql/ alone" in refused.stderr


@pytest.mark.parametrize("image", ["database"], indirect=True)
def test_the_database_names_a_password_that_is_not_there(image: Built, runtime: Runtime) -> None:
    refused = runtime.run(image, "--password-file=/nowhere", check=False)
    assert refused.returncode == 64
    assert "--password-file /nowhere: [Errno 2] No such file" in refused.stderr


def test_the_command_names_what_there_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stacks.images", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "there is no image 'nothing'; there are control, coredns, database, demo, etcd," in done.stderr
