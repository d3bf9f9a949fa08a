"""Machines and their network: the resources behind the layer ``machines``."""

from pathlib import Path
from typing import Any

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, ResourceProvider, UpdateResult

from stacks.machines import MachineSpec, NetworkSpec, driver
from stacks.machines.driver import check
from stacks.providers import progress

Values = dict[str, Any]
NUMBERS = ("ssh_port", "cores", "memory_mib", "entrance_port")


def specification(props: Values) -> MachineSpec:
    """The specification in a resource's values (the engine hands whole numbers over as floats)."""
    spec = dict(props["spec"])
    return MachineSpec(**spec | {key: int(spec[key]) for key in NUMBERS if key in spec})


class NetworkProvider(ResourceProvider):
    """The network of an environment's machines."""

    def create(self, props: Values) -> CreateResult:
        """Have it."""
        self._driver(props).ensure_network(NetworkSpec(props["environment"], props["cidr"]))
        return CreateResult(id_=str(props["environment"]), outs=props)

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Another range is another network."""
        replaces = [key for key in ("cidr", "environment", "driver") if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaces), replaces=replaces, delete_before_replace=True)

    def delete(self, _id: str, props: Values) -> None:
        """Take it away."""
        self._driver(props).delete_network(props["environment"])

    @staticmethod
    def _driver(props: Values) -> Any:
        return driver(props["driver"], Path(props["state"]))


class MachineProvider(ResourceProvider):
    """One machine."""

    def create(self, props: Values) -> CreateResult:
        """Make it, or find that it is there."""
        return CreateResult(id_=f"{props['spec']['environment']}/{props['spec']['name']}", outs=self._ensure(props))

    def update(self, _id: str, _olds: Values, news: Values) -> UpdateResult:
        """Start it again, with the limits that it is to have."""
        return UpdateResult(outs=self._ensure(news))

    def diff(self, _id: str, olds: Values, news: Values) -> DiffResult:
        """Another specification is another machine, other limits another start; one that does not run is started."""
        changed = [key for key in ("spec", "driver", "state_directory") if olds.get(key) != news.get(key)]
        limits = changed == ["spec"] and specification(news).keeps_disk(specification(olds))
        stopped = not (olds.get("state") or {}).get("running")
        replaces = [] if limits else changed
        return DiffResult(changes=bool(changed) or stopped, replaces=replaces, delete_before_replace=True)

    def read(self, id_: str, props: Values) -> ReadResult:
        """What it is now; a machine that is gone leaves the state."""
        found = driver(props["driver"], Path(props["state_directory"])).read(specification(props))
        if found is None:
            return ReadResult(id_="", outs={})
        return ReadResult(id_=id_, outs={**props, "state": found.to_values()})

    def delete(self, _id: str, props: Values) -> None:
        """Take it away."""
        spec = specification(props)
        driver(props["driver"], Path(props["state_directory"])).delete(spec.environment, spec.name)

    def _ensure(self, props: Values) -> Values:
        spec = specification(props)
        say = progress.speaker(f"machine {spec.name}")
        chosen = driver(props["driver"], Path(props["state_directory"]))
        check(chosen, [spec])
        if chosen.notice:
            say(chosen.notice)
        state = chosen.ensure(spec)
        say(f"answers SSH at {state.address}")
        return {**props, "state": state.to_values()}


class Network(Resource):
    """The network ``cidr`` of an environment."""

    def __init__(
        self,
        name: str,
        *,
        environment: str,
        cidr: str,
        driver: str,
        state: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        values = {"environment": environment, "cidr": cidr, "driver": driver, "state": state}
        super().__init__(NetworkProvider(), name, values, opts)


class Machine(Resource):
    """One machine; ``state`` tells how SSH reaches it."""

    state: pulumi.Output[Values]

    def __init__(
        self, name: str, *, spec: Values, driver: str, state_directory: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        values = {"spec": spec, "driver": driver, "state_directory": state_directory, "state": None}
        super().__init__(MachineProvider(), name, values, opts)
