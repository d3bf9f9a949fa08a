"""Machine drivers: where machines come from, behind one protocol (:class:`~stacks.machines.driver.Driver`).

To add one: a module or package here, its name in ``DRIVERS`` and a line in :func:`driver`. What drivers share stands beside
them: images, a machine's identity, addresses, processes that outlive their starter. ``docs/machines.md`` compares them.
"""

from pathlib import Path

from stacks.machines.driver import Driver, DriverError, MachineSpec, MachineState, NetworkSpec, Problem

__all__ = ["DRIVERS", "Driver", "DriverError", "MachineSpec", "MachineState", "NetworkSpec", "Problem", "driver"]

DRIVERS = ("namespaces", "existing", "qemu")
"""The drivers that there are."""


def driver(name: str, state: Path) -> Driver:
    """The driver of that name; ``state`` is the directory for the machines' own files. Raises :class:`DriverError`."""
    # Imported when asked for: each needs things that the others do not.
    if name == "namespaces":
        from stacks.machines.namespaces import NamespaceDriver

        return NamespaceDriver(state)
    if name == "existing":
        from stacks.machines.existing import ExistingDriver

        return ExistingDriver(state)
    if name == "qemu":
        from stacks.machines.qemu import QemuDriver

        return QemuDriver(state)
    raise DriverError(f"there is no machine driver {name!r}; allowed: {', '.join(DRIVERS)}")
