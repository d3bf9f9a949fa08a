"""Builds the environment of the selected stack, layer by layer."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi

from mesh_policy import Level, Policy, check
from mesh_policy.analysis.finding import subject
from mesh_policy.releases.machine import Rollout, State
from stacks import (
    ansible_inventory,
    cluster,
    cluster_mesh,
    cluster_workloads,
    digest,
    laptop,
    laptop_database,
    plan,
    vault,
)
from stacks.environment import Environment, InvalidEnvironmentError, parse
from stacks.environments import declaration
from stacks.environments.book_store import BOOKS
from stacks.layers.installed import PARTS, Installed
from stacks.layers.local_processes import LocalProcesses
from stacks.layers.policies import Policies
from stacks.layers.releases import Releases
from stacks.machines.driver import DriverError
from stacks.machines.namespaces import names
from stacks.playbooks import KUBERNETES, MESH
from stacks.remote import mesh_here

if TYPE_CHECKING:
    from stacks.layers.machines import Machines

PLAYBOOK_FILES = ("roles", "templates", "ansible.cfg")
PACKAGES = (
    "mesh_api", "mesh_cli", "mesh_control", "mesh_policy", "mesh_proxy", "mesh_simulation",
    "examples/demo/meshwright_demo",
)  # fmt: skip
REMOTE_COMMAND = "/opt/meshwright/control/current/bin/mesh"
REMOTE_SOCKET = "/run/meshwright/control.sock"


def run(root: Path) -> None:
    """The program. What its user has to mend ends it in one message, without a traceback."""
    try:
        build(root)
    except (InvalidEnvironmentError, vault.VaultError, DriverError) as error:
        raise pulumi.RunError(str(error)) from None
    except subprocess.CalledProcessError as error:
        raise pulumi.RunError(f"{error} (see above)") from None


def build(root: Path) -> None:
    """Settings, then either machines with a playbook on them, or processes, then policies."""
    stack = pulumi.get_stack()
    environment = declared(stack, pulumi.Config().get_object("environment") or {})
    secrets = vault.load(root, stack)
    if environment.platform == "kubernetes":
        _cluster(root, environment, secrets)
        return
    if environment.machines.driver == "processes":
        environment = _with_what_is_there(environment)
    wanted, releases = _said(environment)
    made = _processes if environment.machines.driver == "processes" else _machines
    control, last = made(root, environment, secrets)
    policies = Policies(
        owner=environment.name,
        policies=wanted,
        control=control,
        wait_seconds=environment.mesh.policy_wait_seconds,
        inventory=_inventory(environment),
        opts=pulumi.ResourceOptions(depends_on=[last]),
    )
    if releases:
        Releases(rollouts=releases, control=control, opts=pulumi.ResourceOptions(depends_on=[policies]))
    gateway = environment.mesh.gateway
    address = environment.machine(gateway.machine).address
    pulumi.export("gateway", f"http://{address}:{gateway.http_port}")
    pulumi.export("direct", direct(environment))
    pulumi.export("statistics", statistics(environment))
    pulumi.export("scenario", environment.scenario)
    pulumi.export("control", control)
    pulumi.export("enter", entrance(environment))


def direct(environment: Environment) -> str:
    """Where a workload behind the published service listens, past the gateway; empty: there is none with an address of its
    own."""
    if environment.machines.driver == "processes":
        return ""
    behind = next((w for w in environment.workloads if w.service == BOOKS), None)
    if behind is None:
        return ""
    port = environment.service(BOOKS).ports[0].port
    return f"http://{environment.place(behind).address}:{port}"


def statistics(environment: Environment) -> dict[str, str]:
    """Workload to the page of its sidecar's statistics, where sidecars have certificates and so may speak TLS."""
    if environment.machines.driver == "processes":
        return {}
    sidecars = (proxy for proxy in plan.proxies(environment) if proxy.kind == "sidecar")
    return {proxy.name: f"http://{proxy.machine.address}:{proxy.ports.stats}/stats/prometheus" for proxy in sidecars}


def _said(environment: Environment) -> tuple[Sequence[Policy], Sequence[Rollout]]:
    """The policies and the releases of an environment. Raises :class:`InvalidEnvironmentError`."""
    declared = declaration(environment.name)
    policies, releases = declared.policies(environment), declared.releases(environment)
    refuse_shared(policies, releases)
    return policies, releases


def refuse_shared(policies: Sequence[Policy], releases: Sequence[Rollout]) -> None:
    """The policies of a released service are its release's alone, and it has one. Raises
    :class:`InvalidEnvironmentError`."""
    seen: set[str] = set()
    for rollout in releases:
        if rollout.name in seen:
            raise InvalidEnvironmentError(f"releases: {rollout.name} has two; a service has one release at a time")
        seen.add(rollout.name)
        made = {policy.key for policy in rollout.policies(State())}
        for policy in policies:
            if policy.key in made:
                raise InvalidEnvironmentError(
                    f"policies: {subject(policy)} is also made by the release of {rollout.name}; leave it out there"
                )
    _refuse_contradictions(policies, releases)


def _refuse_contradictions(policies: Sequence[Policy], releases: Sequence[Rollout]) -> None:
    """What releases bring into the environment's policies must not make an error of them."""
    before = set(map(str, check(policies)))
    everything = [*policies, *(policy for rollout in releases for policy in rollout.policies(State()))]
    errors = [str(found) for found in check(everything) if found.level is Level.ERROR and str(found) not in before]
    if errors:
        raise InvalidEnvironmentError("releases: they contradict what else is said:\n" + "\n".join(errors))


def _inventory(environment: Environment) -> dict[str, Any]:
    """The services and workloads that the control plane knows."""
    if environment.machines.driver == "processes":
        return laptop.mesh_inventory(environment)
    return plan.mesh_inventory(environment)


def declared(stack: str, overrides: Mapping[str, Any]) -> Environment:
    """The environment of a stack with its configuration laid over.

    Raises :class:`InvalidEnvironmentError` naming the wrong key, or the stack that nobody declared.
    """
    environment = parse(declaration(stack).ENVIRONMENT, overrides)
    if environment.name != stack:
        raise InvalidEnvironmentError(
            f"environment.name = {environment.name!r}: the stack's name is allowed, {stack!r}"
        )
    return environment


def _with_what_is_there(environment: Environment) -> Environment:
    """Without PostgreSQL on this machine, the shop is left out."""
    if environment.postgresql is None or laptop_database.binaries() is not None:
        return environment
    left_out = ", ".join(workload.name for workload in environment.workloads if workload.database)
    pulumi.log.warn(f"PostgreSQL is not installed here: without {left_out} (Debian: apt-get install postgresql)")
    return laptop.without_database(environment)


def _processes(
    root: Path, environment: Environment, secrets: Mapping[str, str]
) -> tuple[pulumi.Input[dict[str, Any]], pulumi.Resource]:
    state = root / ".meshwright" / environment.name
    layer = LocalProcesses(environment, state=state, secrets=secrets, digest=digest.of_files(root, PACKAGES))
    return {"place": {"kind": "here"}, "command": mesh_here(), "socket": str(state / "control.sock")}, layer


def _played(
    root: Path,
    environment: Environment,
    secrets: Mapping[str, str],
    content: str,
    plays: Mapping[str, Sequence[str]],
) -> tuple["Machines", Installed]:
    """Machines, and the parts of playbooks on them, one after the other; the last is what all else waits for. ``content`` is
    the digest of what the playbooks bring to them, ``plays`` is each to what its last part leaves beside the project."""
    # Not above: the stack without machines must not need what makes them.
    from stacks.layers.machines import Machines

    machines = Machines(environment, root=root)
    inventory = machines.connections.apply(lambda found: json.dumps(ansible_inventory.inventory(environment, found)))
    pulumi.export("inventory", pulumi.Output.secret(inventory))  # long, and for programs
    last: Installed | None = None
    for playbook, leaves in plays.items():
        brought = f"{digest.of_files(root, (*PLAYBOOK_FILES, playbook))}-{content}"
        identity = pulumi.Output.concat(brought, "-", machines.identity)
        for part in PARTS[playbook]:
            last = Installed(
                part,
                environment=environment.name,
                inventory=inventory,
                secrets=secrets,
                digest=identity,
                playbook=playbook,
                leaves=leaves if part == PARTS[playbook][-1] else (),
                opts=pulumi.ResourceOptions(depends_on=[machines if last is None else last]),
            )
    assert last is not None  # noqa: S101 (every playbook has parts)
    return machines, last


def _cluster(root: Path, environment: Environment, secrets: Mapping[str, str]) -> None:
    """Machines that become a cluster, with the mesh and its workloads, and how its operator reaches them."""
    # Not above: stacks without a cluster must not need what makes its objects.
    from stacks.layers.cluster import Cluster

    policies, releases = _said(environment)
    index = None
    if environment.sources.kubernetes == "built":
        index = images(root, (*cluster_mesh.IMAGES, *cluster_workloads.images(environment)))
    content = "" if index is None else digest.of_files(index.parent, [index.name])
    login = f".meshwright/{environment.name}/kubeconfig"
    _, last = _played(root, environment, secrets, content, {KUBERNETES: [login]})
    made = Cluster(
        environment,
        root=root,
        login=login,
        digests={} if index is None else digests(index),
        secrets=secrets,
        policies=policies,
        releases=releases,
        on=last,
    )
    pulumi.export("kubeconfig", login)
    pulumi.export("api", f"https://{cluster.endpoint(environment)}")
    pulumi.export("enter", entrance(environment))
    pulumi.export("gateway", made.gateway)
    pulumi.export("scenario", environment.scenario)


def digests(index: Path) -> dict[str, str]:
    """Name to digest of the images of an index."""
    return {image["name"]: image["digest"] for image in json.loads(index.read_text())["images"]}


def _machines(
    root: Path, environment: Environment, secrets: Mapping[str, str]
) -> tuple[pulumi.Input[dict[str, Any]], pulumi.Resource]:
    archive = wheels(root)
    content = f"{digest.of_files(root, PACKAGES)}-{digest.of_files(archive.parent, [archive.name])}"
    machines, last = _played(root, environment, secrets, content, {MESH: ()})
    name = environment.mesh.control_machine
    place = machines.places.apply(lambda found: found[name])
    control = pulumi.Output.all(place=place).apply(
        lambda found: {"place": found["place"], "command": REMOTE_COMMAND, "socket": REMOTE_SOCKET}
    )
    return control, last


def entrance(environment: Environment) -> list[str]:
    """The command to put before another that must reach the machines; empty when everything reaches them."""
    if environment.machines.driver != "namespaces":
        return []
    return ["nsenter", f"--net=/run/netns/{names.bridge_namespace(environment.name)}"]


def wheels(root: Path) -> Path:
    """The archive of wheels, made when it is missing or older than its sources."""
    made = subprocess.run([str(root / "tools" / "wheelhouse")], cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    return Path(made.stdout.strip().splitlines()[-1])


def images(root: Path, further: Sequence[str] = ()) -> Path:
    """The index of a cluster's images and programs, and of further images, which are made where they are missing."""
    command = [sys.executable, "-m", "stacks.images", "kubernetes", *further]
    subprocess.run(command, cwd=root, stdout=subprocess.DEVNULL, check=True)
    return root / "dist" / "images" / "index.json"
