"""What makes a cluster of an API server without machines: kwok plays its nodes and their pods, and Kubernetes' own
controllers make pods of Deployments, and EndpointSlices of Services and pods.

A pod needs its node's name, as there is no scheduler. Its address is one of the node's range, and nobody answers there.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support import go_programs
from tests.support.kube_apiserver import Server

MANAGER = "kube-controller-manager"
CONTROLLERS = ("deployment-controller", "replicaset-controller", "endpointslice-controller")
UNHURRIED = ("--kube-api-qps=5000", "--kube-api-burst=10000")
"""As kwok's own clusters have it: with the default, twenty requests a second, a thousand slices take a minute."""

SETTINGS = """\
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options: {podPlayStageParallelism: 1, nodePlayStageParallelism: 1, nodeLeaseParallelism: 1, podsOnNodeSyncParallelism: 1}
"""
"""Several of its workers may each begin with a node's range for themselves, and give two pods its first address. A file that
says one of these numbers has to say all."""


def build() -> tuple[Path, Path]:
    """kwok and the controllers. Raises :class:`go_programs.NotBuiltError`."""
    return go_programs.build_kwok(), go_programs.kubernetes_program(MANAGER)


@dataclass(frozen=True, slots=True)
class Players:
    """Both processes, and where they log."""

    folder: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    """By the program's name."""

    def start(self, program: Path, *arguments: str) -> None:
        with self._log(program.name).open("ab") as log:
            command = [str(program), *arguments]
            self.processes[program.name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    def check(self) -> None:
        """Raises :class:`AssertionError` when one of them has ended, with the end of its log."""
        for name, process in self.processes.items():
            said = self._log(name).read_text(encoding="utf-8", errors="replace")[-3000:]
            assert process.poll() is None, f"{name} has ended with {process.returncode}: {said}"

    def stop(self) -> None:
        """They keep nothing that they would have to put away."""
        for process in self.processes.values():
            process.kill()
            process.wait()

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@contextlib.contextmanager
def playing(server: Server) -> Iterator[Players]:
    """Meanwhile every node of that server's is played; the server answers already (:meth:`Server.ready`)."""
    kwok, manager = build()
    kubeconfig = f"--kubeconfig={server.kubeconfig()}"
    players = Players(server.folder)
    try:
        settings = server.folder / "kwok.yaml"
        settings.write_text(SETTINGS, encoding="utf-8")
        stages = kwok.with_name("stages.yaml")
        players.start(kwok, "--manage-all-nodes", f"--config={settings}", f"--config={stages}", kubeconfig)
        controllers = f"--controllers={','.join(CONTROLLERS)}"
        players.start(manager, controllers, kubeconfig, "--leader-elect=false", "--secure-port=0", *UNHURRIED)
        yield players
    finally:
        players.stop()
