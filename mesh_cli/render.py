"""``mesh render``: the whole bootstrap of a proxy that asks nobody, from files alone."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh_cli import output
from mesh_cli.asking import UNREADABLE, Inventory, MeshSettings, Namespace, load, metadata_of, settings_of

if TYPE_CHECKING:
    from mesh_cli.static_resources import SecretFiles

TEMPLATE = Path(__file__).parents[1] / "templates" / "bootstrap.yml.j2"
"""The frame that machines get as well."""


class Software(StrEnum):
    """Who is to run it."""

    ENVOY = "envoy"
    OURS = "ours"


def render(
    files: Annotated[
        list[Path] | None, typer.Option("-f", "--file", help="A YAML file or a folder of such; may be repeated.")
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILES]...", help="Further files and folders.")] = None,
    node: Annotated[
        str, typer.Option(help="Whose it is: sidecar~ADDRESS~NAME.NAMESPACE~NAMESPACE.svc.cluster.local, or router~...")
    ] = "",
    metadata: Annotated[
        str, typer.Option(help='What it says of itself, as JSON: {"LABELS": {"app": "books"}}.')
    ] = "{}",
    software: Annotated[Software, typer.Option("--for", help="envoy, or ours, which does less.")] = Software.ENVOY,
    secret: Annotated[
        list[str] | None,
        typer.Option(help="Files of a secret: NAME=CERTIFICATE,KEY, or NAME=ROOTS; may be repeated."),
    ] = None,
    admin_port: Annotated[int, typer.Option(help="Port of its administration.")] = 15000,
    mesh_config: MeshSettings = None,
    inventory: Inventory = None,
    namespace: Namespace = "default",
    template: Annotated[Path, typer.Option(help="The frame, in Jinja.", show_default=False)] = TEMPLATE,
) -> None:
    """Print the bootstrap of a proxy with its listeners, routes, clusters and hosts in it: it asks no control plane.

    Ends with 2 when the files cannot be read, the node is none, or a secret is needed of which no files are given.
    """
    from mesh_api.node import Node
    from mesh_cli.static_resources import MissingSecretError, static_resources
    from mesh_control.compiler import compile_proxy
    from mesh_control.proxies import ProxyError, proxy_of

    paths = [*(files or []), *(more or [])]
    if not paths and inventory is None:
        output.fail("give the files of the mesh: mesh render -f FILE --node NODE", UNREADABLE)
    if not node:
        output.fail("--node is missing: sidecar~10.0.0.1~NAME.NAMESPACE~NAMESPACE.svc.cluster.local", UNREADABLE)
    said = metadata_of(metadata)
    secrets = dict(map(_secret, secret or ()))
    try:
        proxy = proxy_of(Node(node, metadata=said, user_agent="meshwright" if software is Software.OURS else ""))
    except ProxyError as error:
        output.fail(str(error), UNREADABLE)
    world = load(paths, inventory, namespace, settings_of(mesh_config)).world
    try:
        static = static_resources(compile_proxy(world, proxy), secrets)
    except MissingSecretError as error:
        output.fail(str(error), UNREADABLE)
    named = {"node_id": node, "name": proxy.name, "namespace": proxy.namespace, "metadata": said}
    output.tell(_framed(template, {"proxy": named | {"ports": {"admin": admin_port}}, "static_resources": static}))


def _secret(text: str) -> tuple[str, "SecretFiles"]:
    """``NAME=CERTIFICATE,KEY`` or ``NAME=ROOTS``; the name itself may hold anything but ``=``."""
    from mesh_cli.static_resources import SecretFiles

    name, equals, value = text.partition("=")
    certificate, comma, key = value.partition(",")
    if not (name and equals and certificate) or (comma and not key):
        output.fail(f"--secret {text}: write NAME=CERTIFICATE,KEY, or NAME=ROOTS", UNREADABLE)
    if comma:
        return name, SecretFiles(certificate=Path(certificate), key=Path(key))
    return name, SecretFiles(roots=Path(certificate))


def _framed(template: Path, values: dict[str, Any]) -> str:
    """The text of the template. Its filters are those of Ansible, which renders it on machines."""
    try:
        import jinja2
    except ImportError:
        output.fail("mesh render needs Jinja: install meshwright[infra]", UNREADABLE)
    import yaml

    def nice(value: object, indent: int = 2) -> str:
        return str(yaml.safe_dump(value, indent=indent, sort_keys=False, width=1000, allow_unicode=True))

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701 (YAML)
    environment.filters |= {"to_json": json.dumps, "to_nice_yaml": nice}
    try:
        return environment.from_string(template.read_text(encoding="utf-8")).render(values)
    except (OSError, jinja2.TemplateError) as error:
        output.fail(f"{template}: {error}; give the frame of a bootstrap with --template", UNREADABLE)
