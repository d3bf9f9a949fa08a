"""What ``mesh render`` prints is taken by a real Envoy, and runs in our proxy.

The inputs are dumps' and samples' of Istio, data kept beside the project; without them there is nothing to test here.
"""

import json
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import mesh_cli.commands
from mesh_proxy.bootstrap import Bootstrap, load_bootstrap
from mesh_proxy.snapshot import Builder, Snapshot, SnapshotError
from tests.support.secret_server import Identity

pytestmark = pytest.mark.integration

SHARED = Path(__file__).parents[4] / "shared"
INPUTS = sorted(SHARED.glob("istiod-dumps/*/input")) + sorted(SHARED.glob("istio-samples/bookinfo/*.yaml"))
PROXIES = {
    "client": ("sidecar~127.0.0.1~client-1.default~default.svc.cluster.local", {"app": "client"}),
    "server": ("sidecar~127.0.0.11~reviews-v1.default~default.svc.cluster.local", {"app": "reviews", "version": "v1"}),
    "gateway": (
        "router~127.0.0.99~istio-ingressgateway-1.istio-system~istio-system.svc.cluster.local",
        {"istio": "ingressgateway"},
    ),
}
SECRETS = ("default", "kubernetes://mutual-cred", "file-cert:/tmp/c.pem~/tmp/k.pem")
ROOTS = ("ROOTCA", "kubernetes://mutual-cred-cacert")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options with files of every secret that the inputs name."""
    folder, identity = tmp_path_factory.mktemp("secrets"), Identity("spiffe://cluster.local/ns/default/sa/order")
    for name, content in {"chain": identity.chain, "key": identity.key, "roots": identity.roots}.items():
        (folder / f"{name}.pem").write_bytes(content)
    given = [f"--secret={name}={folder}/chain.pem,{folder}/key.pem" for name in SECRETS]
    return [*given, *(f"--secret={name}={folder}/roots.pem" for name in ROOTS)]


def render(source: Path, proxy: str, *options: str) -> Result:
    node, labels = PROXIES[proxy]
    told = ["-f", str(source), "--node", node, "--metadata", json.dumps({"LABELS": labels})]
    return CliRunner().invoke(mesh_cli.commands.app, ["render", *told, *options])


@pytest.mark.skipif(not INPUTS, reason="the inputs of the dumps are not here")
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_real_envoy_takes_it(envoy: Path, tmp_path: Path, files: list[str], proxy: str) -> None:
    refused = {}
    for source in INPUTS:
        made = render(source, proxy, *files)
        assert made.exit_code == 0, f"{source}: {made.output[-2000:]}"
        file = tmp_path / "bootstrap.yaml"
        file.write_text(made.stdout)
        command = [str(envoy), "--mode", "validate", "-c", str(file), "--use-dynamic-base-id", "-l", "warn"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            refused[f"{source.parent.name}/{source.name}"] = (done.stdout + done.stderr)[-1500:]
    assert refused == {}


def refusal(bootstrap: Bootstrap) -> str:
    """Why our proxy refuses it; empty: it runs it."""
    try:
        Builder(Snapshot(), lambda: 0.0, bootstrap.secrets).build(bootstrap.static)
    except SnapshotError as error:
        return error.reason
    return ""


@pytest.mark.skipif(not INPUTS, reason="the inputs of the dumps are not here")
@pytest.mark.parametrize("proxy", PROXIES)
def test_our_proxy_runs_it(tmp_path: Path, files: list[str], proxy: str) -> None:
    for source in INPUTS:
        made = render(source, proxy, "--for", "ours", *files)
        assert made.exit_code == 0, f"{source}: {made.output[-2000:]}"
        file = tmp_path / "bootstrap.yaml"
        file.write_text(made.stdout)
        bootstrap = load_bootstrap(file, cores=1)
        assert bootstrap.static.listeners or proxy == "gateway"
        assert refusal(bootstrap) == ""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "needs the certificate default: give --secret default=CERTIFICATE,KEY"),
        (("--secret=default=a,b",), "needs the roots ROOTCA: give --secret ROOTCA=ROOTS"),
        (("--secret=default",), "--secret default: write NAME=CERTIFICATE,KEY, or NAME=ROOTS"),
        (("--secret=default=a,",), "--secret default=a,: write NAME=CERTIFICATE,KEY, or NAME=ROOTS"),
        (("--template=/missing", "--for=ours"), "/missing: [Errno 2]"),
    ],
)
def test_refused(tmp_path: Path, options: tuple[str, ...], told: str) -> None:
    (tmp_path / "empty.yaml").write_text("")
    done = render(tmp_path / "empty.yaml", "server", *options)
    assert done.exit_code == 2
    assert told in done.output
