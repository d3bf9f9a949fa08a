"""What ``mesh analyze`` finds, beside what Istio finds: istioctl itself, and its analyzers with all the objects of a file."""

import json
import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mesh_policy.analysis.checks import analyze
from mesh_policy.analysis.codes import LEFT_OUT
from mesh_policy.analysis.context import Knowledge
from mesh_policy.analysis.inputs import read_inputs
from mesh_policy.mesh_config import read_mesh_config
from tests.support import go_programs, istio_analyzers
from tests.support.random_meshes import Mesh
from tests.unit.mesh_policy.analysis import rows

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]  # the program's first build
SAMPLES = Path(__file__).resolve().parents[4].joinpath("shared", "istio-samples")
TESTDATA = istio_analyzers.testdata()
NO_SAMPLES = "the samples of Istio are not here"
NO_TESTDATA = "the tests of Istio's analyzers are not in Go's module cache"
NOT_OURS = ("EnvoyFilter", "WasmPlugin", "QuotaSpec", "MeshConfig", "MeshNetworks", "object")
"""Kinds that we answer by one error, or that stand in no file of ours."""
INVALID = "an object that is not valid is told by IST0106, and looked at no further"

ACCEPTED: dict[tuple[str, str, str], str] = {
    ("gateway-secrets.yaml", "IST0106", "Gateway default/defaultgateway-bogusCredentialName"): (
        "Kubernetes takes no capital letter in a name, and Istio does not ask it"
    ),
    ("gateway-secrets.yaml", "IST0145", "Gateway default/defaultgateway-noerrors"): INVALID,
    ("k8sgateway-selector.yaml", "IST0159", "Telemetry default/telemetry-ineffective"): INVALID,
    (
        "virtualservice_host_not_found_gateway.yaml",
        "IST0132",
        "VirtualService default/testing-service-03-test-04",
    ): INVALID,
    (
        "virtualservice_host_not_found_gateway_beta.yaml",
        "IST0132",
        "VirtualService default/testing-service-03-test-04",
    ): INVALID,
    ("virtualservice_overlappingmatches.yaml", "IST0131", "VirtualService default/uri-with-prefix-exact"): (
        "an exact path within a prefix is shadowed as well; Istio compares prefixes only"
    ),
}
"""Every difference that stays: file, code, object, and why."""
MESH_CONFIGURATIONS = {
    "injection-image-distroless.yaml": "common/meshconfig.yaml",
    "serviceentry-missing-addresses-protocol.yaml": "serviceentry-missing-addresses-protocol-mesh-cfg.yaml",
    "serviceentry-address-allocated.yaml": "serviceentry-address-allocated-mesh-cfg.yaml",
    "telemetry-lightstep.yaml": "telemetry-lightstep-meshconfig.yaml",
}
"""Files of Istio's tests to the configuration of the mesh that they are tested with a second time."""


@pytest.fixture(scope="module")
def analyzers() -> Path:
    try:
        return go_programs.build("istio_analyzers")
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def istioctl() -> Path:
    cached = sorted((Path.home() / ".cache/meshwright").glob("istioctl-*/istioctl"))
    given = os.environ.get("ISTIOCTL", "")
    if not given and not cached:
        pytest.skip("there is no istioctl: run `make istioctl`, or name one in ISTIOCTL")
    return Path(given) if given else cached[-1]


def ours(files: Sequence[Path], known: Knowledge) -> istio_analyzers.Found:
    found = analyze(read_inputs([(str(file), file.read_text()) for file in files]), known)
    return frozenset((f.code, f.subject.replace(".gateway.networking.k8s.io", "")) for f in found)


def differences(
    name: str, mine: istio_analyzers.Found, theirs: istio_analyzers.Found, used: set[tuple[str, str, str]] | None = None
) -> list[str]:
    """What one side alone finds, without what is accepted; ``used`` takes what had to be accepted."""
    invalid = {subject for code, subject in mine if code == "IST0106"}
    found = []
    for code, subject in sorted(mine ^ theirs):
        whose = "only ours" if (code, subject) in mine else "only Istio's"
        passed = code.startswith("MESH") or code in LEFT_OUT or subject.split()[0] in NOT_OURS
        if passed or (subject in invalid and whose == "only Istio's"):
            continue
        if (name, code, subject) in ACCEPTED:
            if used is not None:
                used.add((name, code, subject))
            continue
        found.append(f"{name}: {code} {subject} {whose}")
    return found


@pytest.mark.skipif(TESTDATA is None, reason=NO_TESTDATA)
def test_istios_own_files(analyzers: Path, tmp_path: Path) -> None:
    """Each file alone is the whole mesh, as for Istio's analyzers."""
    assert TESTDATA is not None
    sets: list[tuple[str, list[Path], Knowledge]] = []
    for file in sorted(TESTDATA.glob("*.yaml")):
        written = tmp_path / file.name
        written.write_text(istio_analyzers.written_out(file.read_text()))
        known = Knowledge(whole=True, now=datetime.now(UTC))
        sets.append((file.name, [written], known))
        if file.name in MESH_CONFIGURATIONS:
            mesh = TESTDATA / MESH_CONFIGURATIONS[file.name]
            configured = Knowledge(read_mesh_config(mesh.read_text()), whole=True, now=known.now)
            sets.append((file.name, [Path(f"mesh={mesh}"), written], configured))
    answers = istio_analyzers.ask(analyzers, [files for _, files, _ in sets])
    used: set[tuple[str, str, str]] = set()
    found = [
        line
        for (name, files, known), theirs in zip(sets, answers, strict=True)
        for line in differences(name, ours([files[-1]], known), theirs, used)
    ]
    assert found == []
    assert used == ACCEPTED.keys()
    assert sum(map(len, answers)) > 200


OF_RANDOM_MESHES = {
    ("IST0131", "only ours"): "an exact path within a prefix is shadowed as well",
    ("IST0131", "only Istio's"): "a match without a method is for every method, and not for GET alone",
    ("IST0173", "only ours"): "the version is that of another service's workload, which is of no use to this one",
    (
        "IST0174",
        "only Istio's",
    ): "a rule with a wildcard is for every host that it covers; Istio wants its very name",
}
"""Differences that stay wherever they occur, and why."""


def test_random_meshes(analyzers: Path, tmp_path: Path) -> None:
    files = []
    for seed in range(300):
        file = tmp_path / f"{seed}.yaml"
        file.write_text(Mesh(seed).text())
        files.append(file)
    answers = istio_analyzers.ask(analyzers, [[file] for file in files])
    assert sum(map(len, answers)) > 1500
    found = []
    for file, theirs in zip(files, answers, strict=True):
        mine = ours([file], Knowledge(whole=True, now=datetime.now(UTC)))
        for line in differences(file.name, mine, theirs):
            _, code, *_, whose, side = line.split()
            if (code, f"{whose} {side}") not in OF_RANDOM_MESHES:
                found.append(line)
    assert found == []


def test_our_own_rows(analyzers: Path, tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(rows.ROWS):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        files.append(file)
    answers = istio_analyzers.ask(analyzers, [[file] for file in files])
    known = Knowledge(whole=True, now=datetime.now(UTC))
    assert sum(map(len, answers)) > 40
    found = [
        line
        for number, (file, theirs) in enumerate(zip(files, answers, strict=True))
        for line in differences(f"row {number}", ours([file], known), theirs)
    ]
    assert found == []


RUNTIME = {
    *("IST0101", "IST0112", "IST0116", "IST0118", "IST0137", "IST0140", "IST0144", "IST0145", "IST0159", "IST0162"),
    *(
        "IST0102",
        "IST0103",
        "IST0127",
        "IST0166",
        "IST0171",
        "IST0173",
        "IST0174",
        "IST0110",
        "IST0111",
        "IST0167",
        "IST0161",
    ),
}
"""Codes of analyzers that istioctl leaves out for files: they ask for Services, Pods or Namespaces, which it passes over."""


def of_istioctl(istioctl: Path, files: Sequence[Path]) -> istio_analyzers.Found:
    command = [str(istioctl), "analyze", "--use-kube=false", "-A", "-o", "json", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return frozenset((m["code"], istio_analyzers.subject(m["origin"])) for m in json.loads(done.stdout))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=NO_SAMPLES)
def test_the_samples_as_istioctl_sees_them(istioctl: Path) -> None:
    """Each file, and those of bookinfo together: what istioctl finds we find, and we alone only what it does not look for."""
    bookinfo = sorted((SAMPLES / "bookinfo").glob("*.yaml"))
    for files in [[file] for file in sorted(SAMPLES.rglob("*.yaml"))] + [bookinfo]:
        theirs, mine = of_istioctl(istioctl, files), ours(files, Knowledge())
        name = files[0].name if len(files) == 1 else "bookinfo"
        assert [line for line in differences(name, mine, theirs) if line.split()[1] not in RUNTIME] == []
        assert theirs <= mine, name


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=NO_SAMPLES)
def test_bookinfo_as_the_analyzers_see_it(analyzers: Path) -> None:
    files = sorted((SAMPLES / "bookinfo").glob("*.yaml"))
    (theirs,) = istio_analyzers.ask(analyzers, [files])
    mine = ours(files, Knowledge(whole=True))
    # Istio looks at pods, of which there are none; we at those that the Deployments will make.
    deployed = {("IST0173", f"DestinationRule default/{name}") for name in ("details", "productpage", "reviews")}
    assert {f for f in mine if f[0].startswith("IST")} == theirs - deployed
