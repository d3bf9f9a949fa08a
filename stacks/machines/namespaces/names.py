"""Names of what belongs to a machine on the host, so that everything can be found again from the names alone."""

import hashlib
from pathlib import Path


def bridge_namespace(environment: str) -> str:
    """Network namespace of the bridge between an environment's machines."""
    return f"mw-{environment}"


def machine_namespace(environment: str, name: str) -> str:
    """Network namespace of a machine."""
    return f"mw-{environment}-{name}"


def link(environment: str, name: str) -> str:
    """The bridge's end of a machine's cable: an interface name has at most 15 characters."""
    return "mw" + hashlib.sha256(f"{environment}/{name}".encode()).hexdigest()[:10]


def namespace_path(name: str) -> Path:
    """Where ``ip netns`` keeps a namespace."""
    return Path("/run/netns") / name
