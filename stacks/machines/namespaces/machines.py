"""The driver: puts image, disk, network, limits and launcher together."""

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from stacks.machines import addresses, daemon, identity
from stacks.machines.driver import DriverError, MachineSpec, MachineState, NetworkSpec, Problem, Problems, pinned
from stacks.machines.namespaces import cgroups, disk, http_proxy, image, names, network
from stacks.machines.namespaces.sockets import socket_in
from stacks.machines.system import end, read_pid, run

TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
}
SSH_SECONDS = 60.0


class NamespaceDriver:
    """See :class:`~stacks.machines.driver.Driver`; files are kept below ``state/ENVIRONMENT``."""

    notice = "machines made of namespaces share this host's kernel and are no security boundary"

    def __init__(self, state: Path) -> None:
        self._state = state

    def preflight(self, machines: Sequence[MachineSpec]) -> list[Problem]:
        """See :class:`~stacks.machines.driver.Driver`."""
        problems = Problems()
        root = os.geteuid() == 0
        problems.need(root, "namespaces can only be made by root", "run as root, or use the stack laptop")
        problems.need_tools(TOOLS)
        if root and shutil.which("unshare"):
            trial = subprocess.run(
                ["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, check=False
            )
            problems.need(
                trial.returncode == 0,
                f"namespaces are forbidden here: {trial.stderr.decode().strip()}",
                "use the stack laptop",
            )
        problems.need(self._overlay_works(), f"{self._state} is itself on an overlay", "set another state directory")
        problems.need_memory(machines)
        for machine in machines:
            self._need_ours(machine, problems)
        for port in {machine.entrance_port for machine in machines} - {0}:
            self._need_entrance(machines[0].environment, port, problems)
        return problems.found

    def _need_entrance(self, environment: str, port: int, problems: Problems) -> None:
        """The port of the way to the machines is free, or has it already."""
        if read_pid(self._proxy(environment, "entrance")) is not None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError as error:
                problems.need(
                    False,
                    f"port {port} of loopback: {error.strerror}",
                    "stop what has it, or set machines.entrance_port",
                )

    def _need_ours(self, machine: MachineSpec, problems: Problems) -> None:
        """A machine of that name that runs for somebody else is not ours to replace."""
        directory = self._directory(machine.environment, machine.name)
        process, file = read_pid(directory / "launcher.pid"), directory / "spec.json"
        if process is not None and file.exists():
            problems.need(
                json.loads(file.read_text())["public_key"] == machine.public_key,
                f"machine {machine.name} of {machine.environment} runs already, made for another SSH key",
                f"run `make down` in the checkout that made it, or end its process {process}",
            )

    def _overlay_works(self) -> bool:
        existing = next(path for path in (self._state, *self._state.parents) if path.exists())
        return run("stat", "--file-system", "--format=%T", str(existing)).strip() not in ("overlayfs", "overlay")

    def ensure_network(self, wanted: NetworkSpec) -> None:
        """See :class:`~stacks.machines.driver.Driver`."""
        network.ensure(wanted)

    def ensure(self, machine: MachineSpec) -> MachineState:
        """See :class:`~stacks.machines.driver.Driver`."""
        directory = self._directory(machine.environment, machine.name)
        made = self._made(machine.environment, machine.name)
        if made is not None and made != machine:
            self._stop(machine.environment, machine.name)
            if not machine.keeps_disk(made):
                self.delete(machine.environment, machine.name)
        tree = image.ensure(machine)
        self._ensure_proxies(machine, tree)
        if read_pid(directory / "launcher.pid") is None:
            disk.prepare(machine, directory, tree)
            (directory / "image").write_text(f"{tree}\n")
            (directory / "spec.json").write_text(json.dumps(asdict(machine)))
            self._launch(directory)
        self._await_ssh(machine, directory)
        state = self.read(machine)
        if state is None:
            raise DriverError(f"machine {machine.name} vanished while it was made")
        return state

    def _launch(self, directory: Path) -> None:
        command = [sys.executable, "-m", "stacks.machines.namespaces.launcher", str(directory)]
        daemon.start(directory / "launcher.pid", command, log=directory / "launcher.log")

    def _ensure_proxies(self, machine: MachineSpec, tree: Path) -> None:
        namespace = names.bridge_namespace(machine.environment)
        hosts = sorted(image.apt_hosts(tree))
        self._ensure_proxy(
            machine, "packages", namespace, addresses.gateway(machine.cidr), str(http_proxy.PORT), *hosts
        )
        if machine.entrance_port:
            pid_file = self._proxy(machine.environment, "entrance")
            known, wanted = pid_file.with_suffix(".port"), str(machine.entrance_port)
            if known.exists() and known.read_text() != wanted:
                end(pid_file)
            self._ensure_proxy(machine, "entrance", namespace, wanted, machine.cidr)
            known.write_text(wanted)

    def _ensure_proxy(self, machine: MachineSpec, way: str, *place: str) -> None:
        pid_file = self._proxy(machine.environment, way)
        command = [sys.executable, "-m", "stacks.machines.namespaces.http_proxy", way, *place]
        daemon.start(pid_file, command, log=pid_file.with_suffix(".log"))

    def _proxy(self, environment: str, way: str) -> Path:
        return self._state / environment / f"{way}-proxy.pid"

    def _await_ssh(self, machine: MachineSpec, directory: Path) -> None:
        deadline = time.monotonic() + SSH_SECONDS
        namespace = names.bridge_namespace(machine.environment)
        while time.monotonic() < deadline:
            if read_pid(directory / "launcher.pid") is None:
                log = (directory / "launcher.log").read_text()[-1000:]
                raise DriverError(f"machine {machine.name} did not start: {log}")
            with contextlib.suppress(OSError), socket_in(namespace) as probe:
                probe.settimeout(2)
                probe.connect((machine.address, machine.ssh_port))
                if probe.recv(4) == b"SSH-":
                    return
            time.sleep(0.1)
        raise DriverError(f"machine {machine.name} runs and does not answer SSH within {SSH_SECONDS:.0f} s")

    def read(self, machine: MachineSpec) -> MachineState | None:
        """See :class:`~stacks.machines.driver.Driver`."""
        directory = self._directory(machine.environment, machine.name)
        made = self._made(machine.environment, machine.name)
        if made is None:
            return None
        host_key = identity.public_host_key(directory / "upper")
        return MachineState(
            name=made.name,
            running=read_pid(directory / "launcher.pid") is not None,
            address=made.address,
            ssh_port=made.ssh_port,
            user=made.user,
            ssh_arguments=self.ssh_arguments(made, host_key),
            host_key=host_key,
            digest=made.digest(),
        )

    def ssh_arguments(self, machine: MachineSpec, host_key: str) -> tuple[str, ...]:
        """Through the bridge's namespace, and only to the machine with this host key."""
        known = self._state / machine.environment / f"known_hosts.{machine.name}"
        if host_key:
            known.write_text(f"{machine.address} {host_key}\n")
        relay = Path(__file__).with_name("relay.py")
        proxy = shlex.join([sys.executable, "-SE", str(relay), names.bridge_namespace(machine.environment), "%h", "%p"])
        return ("-o", f"ProxyCommand={proxy}", *pinned(known))

    def delete(self, environment: str, name: str) -> None:
        """See :class:`~stacks.machines.driver.Driver`."""
        self._stop(environment, name)
        network.unplug(environment, name)
        shutil.rmtree(self._directory(environment, name), ignore_errors=True)
        (self._state / environment / f"known_hosts.{name}").unlink(missing_ok=True)

    def delete_network(self, environment: str) -> None:
        """See :class:`~stacks.machines.driver.Driver`."""
        for file in (self._state / environment).glob("*/launcher.pid"):
            self.delete(environment, file.parent.name)
        for way in http_proxy.WAYS:
            end(self._proxy(environment, way))
        network.delete(environment)
        shutil.rmtree(self._state / environment, ignore_errors=True)

    def _stop(self, environment: str, name: str) -> None:
        end(self._directory(environment, name) / "launcher.pid")
        cgroups.remove(environment, name)  # a limit below what an old group still counts would be refused

    def _made(self, environment: str, name: str) -> MachineSpec | None:
        """What the machine that is there was made from."""
        file = self._directory(environment, name) / "spec.json"
        return MachineSpec(**json.loads(file.read_text())) if file.exists() else None

    def _directory(self, environment: str, name: str) -> Path:
        return self._state / environment / name
