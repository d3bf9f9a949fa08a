"""``mesh describe WORKLOAD``: everything that applies to a workload."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh_cli import output
from mesh_cli.asking import UNREADABLE, Form, Inventory, Namespace, load

if TYPE_CHECKING:  # here and below: the help need not wait for the simulation
    from mesh_control.services import Service, Workload
    from mesh_simulation import Mesh
    from mesh_simulation.applies import Applies


def describe(
    workload: Annotated[
        str, typer.Argument(help="NAME.NAMESPACE of a workload; a Deployment's or service's name will do.")
    ],
    files: Annotated[
        list[Path] | None, typer.Option("--file", "-f", help="YAML files or folders: policies, and Kubernetes objects.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="What is in force at the control plane, with the files over it.")
    ] = False,
    socket: Annotated[Path, typer.Option(help="Socket of the control plane.")] = Path("/run/meshwright/control.sock"),
    inventory: Inventory = None,
    namespace: Namespace = "default",
    form: Form = output.Form.TEXT,
) -> None:
    """Tell what applies to a workload: its services and ports, the policies that rule what it sends and what it is sent.

    Ends with 2 when the files cannot be read, or there is no such workload.
    """
    from mesh_simulation import RequestError
    from mesh_simulation.applies import applies_to

    if not files and inventory is None and not live:
        output.fail("say where from: -f FILES, --inventory FILE or --live", UNREADABLE)
    mesh = load(files or [], inventory, namespace)
    if live:
        mesh = _with_what_is_in_force(mesh, socket)
    try:
        found = applies_to(mesh, workload)
    except RequestError as error:
        output.fail(str(error), UNREADABLE)
    if form is output.Form.JSON:
        output.result(found.to_json())
    else:
        output.tell("\n".join(_lines(found)))


def _with_what_is_in_force(mesh: "Mesh", socket: Path) -> "Mesh":
    """Every owner's policies and the services and workloads that the control plane has of its inventory, below the files';
    a control plane that cannot be reached ends the command with 2."""
    import asyncio

    from mesh_control.client import ControlClient, ControlError
    from mesh_policy import load_documents

    try:
        world = asyncio.run(ControlClient(socket).world())
    except ControlError as error:
        output.fail(str(error), UNREADABLE)
    text = str(world["policies"])
    own = {policy.key for policy in mesh.world.policies}
    policies = [p for p in load_documents(text, "in force") if p.key not in own] if text else []
    named = [service for service in world["services"] if service["name"]]  # the others are made of policies
    return mesh.with_policies(*policies).with_services(
        [_service(service, world["workloads"]) for service in named], map(_workload, world["workloads"])
    )


def _service(found: dict[str, Any], workloads: list[dict[str, Any]]) -> "Service":
    from mesh_control.services import Protocol, Service, ServicePort

    ports = (ServicePort(p["name"], p["number"], Protocol(p["protocol"]), p["target"]) for p in found["ports"])
    members = (_workload(workload) for workload in workloads if found["hostname"] in workload["hosts"])
    return Service(
        found["hostname"],
        found["namespace"],
        tuple(ports),
        tuple(found["addresses"]),
        endpoints=tuple(members),
        name=found["name"],
    )


def _workload(found: dict[str, Any]) -> "Workload":
    from mesh_control.services import Workload

    names = ("name", "namespace", "address", "labels", "service_account", "ports", "sidecar")
    return Workload(**{name: found[name] for name in names})


def _lines(found: "Applies") -> Iterator[str]:
    proxy = f"with a proxy, as {found.principal}" if found.sidecar else "without a proxy"
    yield f"{found.name}.{found.namespace}  {proxy}"
    if found.labels:
        yield "  labels    " + ", ".join(f"{key}={value}" for key, value in sorted(found.labels.items()))
    for service in found.services:
        yield f"  service   {service.host}: " + ", ".join(service.ports)
    for port, mode, source in found.modes:
        yield f"  mTLS      {mode}{f' on port {port}' if port else ''}" + (f" by {source}" if source else " by default")
    for title, items in found.policies.items():
        for item in items:
            place = f", {item.place}" if item.place else ""
            yield f"  {title.ljust(9)} {item.kind} {item.namespace}/{item.name}{place}" + (
                f": {item.note}" if item.note else ""
            )
    for line in found.not_simulated:
        yield f"  not simulated: {line}"
