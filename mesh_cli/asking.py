"""What the verbs that ask a mesh of files have alike: options, reading the files, making the request."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh_cli import output, reading
from mesh_policy import json_text
from mesh_policy.errors import PolicyError

if TYPE_CHECKING:
    from mesh_policy.mesh_config import MeshConfig, MeshNetworks
    from mesh_simulation import Decision, Mesh, Request

_NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def _namespace(value: str) -> str:
    """One that can be; :data:`mesh_policy.base.Namespace` is the same, and brings pydantic."""
    if not _NAMESPACE.fullmatch(value):
        raise typer.BadParameter(
            f"{value!r} is no namespace: lower case letters, digits and dashes, a letter or digit at both ends, at most 63"
        )
    return value


Files = Annotated[
    list[Path],
    typer.Argument(help="YAML or JSON files, folders, or - for standard input: policies, and Kubernetes objects."),
]
Inventory = Annotated[Path | None, typer.Option(help="Static inventory of services and workloads.")]
Namespace = Annotated[
    str,
    typer.Option("--namespace", "-n", callback=_namespace, help="Namespace of objects and names that have none."),
]
MeshSettings = Annotated[Path | None, typer.Option("--mesh-config", help="Settings of the mesh: a MeshConfig as YAML.")]
Networks = Annotated[
    Path | None,
    typer.Option(
        "--mesh-networks", help="Networks of the mesh: MeshNetworks as YAML. Unset: those beside the settings."
    ),
]
Form = Annotated[output.Form, typer.Option("--output", "-o", help="Form of the result.")]
Method = Annotated[str, typer.Option("--method", "-X", help="Method.")]
Header = Annotated[list[str] | None, typer.Option("--header", "-H", help="Field of the request, as 'name: value'.")]
Principal = Annotated[
    str | None, typer.Option(help="Identity in the client's certificate; empty: plain text. Unset: the source's own.")
]
Claim = Annotated[
    list[str] | None, typer.Option(help="Claim of a valid token, as name=value; JSON values count as such.")
]
Via = Annotated[str, typer.Option(help="Gateway through which it enters: NAMESPACE/NAME, or its name.")]
SourceIp = Annotated[str, typer.Option(help="Address that the request comes from.")]
UNREADABLE = 2


def load(
    files: Sequence[Path],
    inventory: Path | None,
    namespace: str,
    mesh_config: "MeshConfig | None" = None,
    networks: "MeshNetworks | None" = None,
    *,
    as_given: bool = False,
) -> "Mesh":
    """The mesh of the files, and a line about what of folders was passed over; one that cannot be read ends the command
    with 2."""
    mesh = read(files, inventory, namespace, mesh_config, networks, as_given=as_given)
    reading.say_passed_over(mesh.passed_over)
    return mesh


def read(
    files: Sequence[Path],
    inventory: Path | None,
    namespace: str,
    mesh_config: "MeshConfig | None" = None,
    networks: "MeshNetworks | None" = None,
    *,
    as_given: bool = False,
) -> "Mesh":
    """As :func:`load`, and says nothing."""
    from mesh_simulation import Mesh, MeshError  # here, for the help of a verb is not to wait for them

    try:
        return Mesh.read(reading.texts(files), inventory, namespace, mesh_config, networks, as_given=as_given)
    except (MeshError, PolicyError) as error:
        output.fail(str(error), UNREADABLE)


def metadata_of(text: str) -> dict[str, Any]:
    """What a proxy says of itself; text that is no JSON object ends the command with 2."""
    try:
        value = json_text.parse(text)
    except ValueError as error:
        output.fail(f"--metadata is no JSON: {error}", UNREADABLE)
    if not isinstance(value, dict):
        output.fail(f"--metadata must be a JSON object, not {text}", UNREADABLE)
    return value


def settings_of(file: Path | None) -> "MeshConfig | None":
    """The mesh's settings of a file; one that cannot be read ends the command with 2."""
    if file is None:
        return None
    from mesh_policy.mesh_config import read_mesh_config

    try:
        return read_mesh_config(reading.text(file), str(file))
    except PolicyError as error:
        output.fail(str(error), UNREADABLE)


def networks_of(file: Path | None, mesh_config: Path | None) -> "MeshNetworks | None":
    """The networks of a file, else those that stand in the ConfigMap with the settings; one that cannot be read ends the
    command with 2."""
    from mesh_policy.mesh_config import read_mesh_networks
    from mesh_policy.mesh_config.reading import has_networks

    try:
        if file is not None:
            return read_mesh_networks(reading.text(file), str(file))
        beside = reading.text(mesh_config) if mesh_config is not None and str(mesh_config) != "-" else ""
        return read_mesh_networks(beside, str(mesh_config)) if has_networks(beside) else None
    except PolicyError as error:
        output.fail(str(error), UNREADABLE)


def request_of(
    url: str,
    source: str,
    method: str,
    headers: Sequence[str],
    principal: str | None,
    claims: Sequence[str],
    **more: str,
) -> "Request":
    """The request of the options; what is wrong with one ends the command with 2."""
    from mesh_policy.hosts import is_address
    from mesh_simulation import Request

    if "://" not in url and not url.startswith("/"):
        url = f"http://{url}"
    fields: dict[str, str] = {}
    for text in headers:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            output.fail(f"--header {text!r}: write 'name: value'", UNREADABLE)
        fields[name.strip()] = value.strip()
    found: dict[str, Any] = {}
    for text in claims:
        name, equals, value = text.partition("=")
        if not equals or not name:
            output.fail(f"--claim {text!r}: write name=value", UNREADABLE)
        found[name] = _value(value)
    address = more.get("source_ip", "")
    if address and not is_address(address):
        output.fail(f"--source-ip {address!r}: is no address of IP; write for example 10.0.0.1", UNREADABLE)
    protocol = "tcp" if url.startswith("tcp://") else "http"
    return Request(source, url, method, fields, principal=principal, claims=found or None, protocol=protocol, **more)


def decide(mesh: "Mesh", request: "Request") -> "Decision":
    """What becomes of it; a request that cannot be made ends the command with 2."""
    from mesh_simulation import RequestError, simulate

    try:
        return simulate(mesh, request)
    except RequestError as error:
        output.fail(str(error), UNREADABLE)


def _value(text: str) -> Any:
    """A claim's value: lists, numbers and booleans as JSON has them, else text."""
    try:
        return json_text.parse(text)
    except ValueError:
        return text
