"""The verbs that ask a mesh of files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mesh_cli.commands import app
from tests.unit.mesh_simulation.meshes import OBJECTS, SUBSETS, virtual_service
from tests.unit.mesh_simulation.test_places import ENTRIES
from tests.unit.mesh_simulation.test_security import NO_ADMIN, VIEWER

OLD = virtual_service("[{route: [{destination: {host: reviews, subset: v1}}]}]")
NEW = OLD.replace("subset: v1", "subset: v2")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, text in {
        "objects": OBJECTS,
        "subsets": SUBSETS,
        "old": OLD,
        "new": NEW,
        "viewer": VIEWER,
        "admin": NO_ADMIN,
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def run(files: Path, *words: str) -> tuple[int, str, str]:
    """The command with the names of files replaced by their paths."""
    known = {file.stem: str(file) for file in files.iterdir()}
    result = CliRunner().invoke(app, [known.get(word, word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_simulate_tells_the_story(files: Path) -> None:
    code, out, _ = run(
        files, "simulate", "objects", "subsets", "new", "--from", "client", "http://reviews:9080/x?q=1", "-H", "a: b"
    )
    assert code == 0
    assert "cluster   outbound|9080|v2|reviews.default.svc.cluster.local (100 %, 1 endpoint)" in out
    assert "-H 'a: b'" in out


def test_simulate_writes_json(files: Path) -> None:
    words = (
        "simulate",
        "objects",
        "viewer",
        "reviews:9080/reviews/1",
        "--from",
        "client.default",
        "-X",
        "POST",
        "-o",
        "json",
    )
    code, out, _ = run(files, *words)
    found = json.loads(out)
    assert (code, found["status"]) == (0, 403)
    assert found["destinations"][0]["inbound"][0]["authorization"]["policy"] == "default/viewer"
    assert found["outcomes"] == [
        {"cluster": "outbound|9080||reviews.default.svc.cluster.local", "status": 403, "flags": "", "share": 100.0}
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lost.yaml", "http://reviews/"], "lost.yaml: cannot be read"),
        (["objects", "--from", "nobody", "http://reviews/"], "there is no workload nobody"),
        (["objects", "http://reviews/", "-H", "x"], "--header 'x': write 'name: value'"),
        (["objects", "http://reviews/", "--claim", "x"], "--claim 'x': write name=value"),
        (["http://reviews/"], "give the files of the mesh before the URL"),
    ],
)
def test_simulate_says_what_cannot_be_asked(files: Path, words: list[str], told: str) -> None:
    code, _, errors = run(files, "simulate", *words)
    assert code == 2
    assert told in errors


def test_diff_ends_with_what_it_found(files: Path) -> None:
    both = ("--with", "objects", "--with", "subsets")
    code, out, _ = run(files, "diff", "--behaviour", "old", "new", *both)
    assert code == 1
    assert "GET http://reviews.default.svc.cluster.local:9080/ from client.default: " in out
    assert "200 reviews.default:9080 v1 -> 200 reviews.default:9080 v2" in out
    code, out, errors = run(files, "diff", "--behaviour", "old", "old", *both)
    assert (code, out) == (0, "")
    assert "no request that was tried is treated differently" in errors
    code, out, _ = run(files, "diff", "--behaviour", "old", "new", *both, "-o", "json")
    assert code == 1
    assert json.loads(out)["changes"][0]["what"] == ["destination"]
    assert run(files, "diff", "--behaviour", "old", "lost.yaml")[0] == 2
    assert run(files, "diff", "old", "new")[0] == 2


def test_authz_why(files: Path) -> None:
    words = ("authz", "why", "objects", "viewer", "--from", "client", "--to", "reviews:9080", "--path")
    code, out, _ = run(files, *words, "/reviews/1")
    assert code == 0
    assert "allowed by AuthorizationPolicy default/viewer rule 0" in out
    code, out, _ = run(files, *words, "/other")
    assert code == 1
    assert "viewer rule 0: path: wanted" in out
    code, out, _ = run(files, *words, "/other", "-o", "json")
    found = json.loads(out)
    assert (code, found["allowed"], found["verdicts"][0]["policy"]) == (1, False, "default/viewer")
    assert run(files, "authz", "why", "objects", "--from", "client", "--to", "reviews:9080")[0] == 0
    assert run(files, "authz", "why", "objects", "--from", "x", "--to", "reviews")[0] == 2


def test_authz_why_where_nobody_of_the_mesh_decides(files: Path) -> None:
    code, out, errors = run(files, "authz", "why", "objects", "viewer", "--from", "client", "--to", "revews:9080")
    assert (code, out) == (2, "")
    assert "goes to PassthroughCluster: no service of the mesh has this host and port, so nobody of the mesh" in errors
    (files / "entries.yaml").write_text(ENTRIES)
    code, out, _ = run(files, "authz", "why", "objects", "entries", "--from", "client", "--to", "a.wild.example.com")
    assert (code, "outbound|80||*.wild.example.com: nobody of the mesh decides there" in out) == (0, True), out


def test_describe(files: Path) -> None:
    code, out, _ = run(
        files, "describe", "reviews-v1", "-f", "objects", "-f", "subsets", "-f", "old", "-f", "viewer", "-f", "admin"
    )
    assert code == 0
    for part in (
        "reviews-v1.default  with a proxy, as cluster.local/ns/default/sa/reviews",
        "service   reviews.default.svc.cluster.local: 9080 -> 9080 HTTP",
        "mTLS      PERMISSIVE by default",
        "sends     VirtualService default/reviews",
        "is sent   VirtualService default/reviews",
        "is sent   AuthorizationPolicy default/deny-admin",
        "ALLOW, 2 rules",
    ):
        assert part in out, out
    assert run(files, "describe", "nobody", "-f", "objects")[0] == 2
    assert run(files, "describe", "client")[0] == 2
    code, out, _ = run(files, "describe", "old.legacy", "-f", "objects", "-o", "json")
    assert (code, json.loads(out)["sidecar"]) == (0, False)


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--source-ip", "nonsense"), "--source-ip 'nonsense': is no address of IP"),
        (("--source-ip", "10.0.0.0/8"), "--source-ip '10.0.0.0/8': is no address of IP"),
        (("--path", "x"), "--path 'x': must begin with '/'"),
        (("--path", ""), "--path '': must begin with '/'"),
        (("--path", "ftp://reviews/x"), "--path 'ftp://reviews/x': must begin with '/', or be http://HOST/PATH"),
        (("--path", "/admin#x"), "/admin#x: no request of HTTP/1.1: http1.codec_error; a proxy answers 400"),
        (("--path", "/#"), "a proxy answers 400"),
    ],
    ids=str,
)
def test_authz_why_says_what_cannot_be_asked(files: Path, more: tuple[str, str], told: str) -> None:
    code, out, errors = run(
        files, "authz", "why", "objects", "viewer", "--from", "client", "--to", "reviews:9080", *more
    )
    assert (code, out) == (2, "")
    assert told in errors


def test_authz_why_takes_the_absolute_form(files: Path) -> None:
    words = ("authz", "why", "objects", "viewer", "--from", "client")
    path = run(files, *words, "--to", "reviews:9080", "--path", "/reviews/1", "-H", "host: reviews:9080")
    absolute = run(
        files, *words, "--to", "reviews:9080", "--path", "http://reviews:9080/reviews/1", "-H", "host: other"
    )
    assert absolute == path
    code, _, errors = run(files, *words, "--to", "http://reviews:9080/a", "--path", "/b")
    assert (code, "has a path already" in errors) == (2, True)
