"""``mesh compile``: what the control plane would send to a proxy, from files alone."""

from pathlib import Path
from typing import Annotated

import typer

from mesh_cli import output
from mesh_cli.asking import (
    UNREADABLE,
    Inventory,
    MeshSettings,
    Namespace,
    Networks,
    load,
    metadata_of,
    networks_of,
    settings_of,
)

SECTIONS = {"cds": "clusters", "eds": "endpoints", "lds": "listeners", "rds": "routes"}
"""Discovery service to the resources that it carries."""


def compile_(
    files: Annotated[
        list[Path] | None, typer.Option("-f", "--file", help="A YAML file or a folder of such; may be repeated.")
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="[FILES]...", help="Further files and folders.")] = None,
    node: Annotated[
        str, typer.Option(help="Who asks: sidecar~ADDRESS~NAME.NAMESPACE~NAMESPACE.svc.cluster.local, or router~...")
    ] = "",
    metadata: Annotated[
        str, typer.Option(help='What it says of itself, as JSON: {"LABELS": {"app": "books"}}.')
    ] = "{}",
    mesh_config: MeshSettings = None,
    mesh_networks: Networks = None,
    inventory: Inventory = None,
    namespace: Namespace = "default",
    form: Annotated[
        output.Form, typer.Option("-o", "--output", help="json, the form of Envoy's API.")
    ] = output.Form.JSON,
) -> None:
    """Print a proxy's clusters, endpoints, listeners and routes as {"cds": [...], "eds": [...], "lds": [...], "rds": [...]}.

    The resources are protobuf JSON with the field names of Envoy's API, sorted by name. With -o text: their names alone.
    Ends with 2 when the files cannot be read or the node is none.
    """
    from mesh_api.node import Node
    from mesh_api.xds.json import resources_to_json
    from mesh_control.compiler import compile_proxy
    from mesh_control.proxies import ProxyError, proxy_of

    paths = [*(files or []), *(more or [])]
    if not paths and inventory is None:
        output.fail("give the files of the mesh: mesh compile -f FILE --node NODE", UNREADABLE)
    if not node:
        output.fail("--node is missing: sidecar~10.0.0.1~NAME.NAMESPACE~NAMESPACE.svc.cluster.local", UNREADABLE)
    try:
        proxy = proxy_of(Node(node, metadata=metadata_of(metadata)))
    except ProxyError as error:
        output.fail(str(error), UNREADABLE)
    networks = networks_of(mesh_networks, mesh_config)
    world = load(paths, inventory, namespace, settings_of(mesh_config), networks, as_given=True).world
    found = resources_to_json(compile_proxy(world, proxy))
    if form is output.Form.JSON:
        output.result({service: found[section] for service, section in SECTIONS.items()})
        return
    for service, section in SECTIONS.items():
        for resource in found[section]:
            output.tell(f"{service} {resource.get('name') or resource.get('cluster_name')}")
