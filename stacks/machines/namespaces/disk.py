"""What is a machine's own on its disk: name, keys, network, before it boots for the first time."""

from pathlib import Path

from stacks.machines import addresses, identity
from stacks.machines.driver import MachineSpec
from stacks.machines.namespaces.http_proxy import PORT


def prepare(spec: MachineSpec, directory: Path, image: Path) -> str:
    """Write the machine's files into its layer; returns its public host key."""
    for name in ("upper", "work", "root"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    upper = directory / "upper"
    gateway = addresses.gateway(spec.cidr)
    if not (upper / "etc/hosts").exists():  # the machine may have changed it since
        identity.write(upper, "etc/hosts", identity.hosts(spec))
    identity.write(upper, "etc/resolv.conf", f"nameserver {gateway}\n")
    identity.write(upper, "etc/apt/apt.conf.d/90meshwright", f'Acquire::http::Proxy "http://{gateway}:{PORT}/";\n')
    return identity.write_identity(spec, upper, image)
