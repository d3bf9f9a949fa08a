"""``mesh simulate``: what a mesh of files does with a request, without a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from mesh_cli import asking, output


def simulate(
    arguments: Annotated[
        list[str], typer.Argument(metavar="FILES... URL", help="Files or folders (YAML, JSON), or -, then the URL.")
    ],
    source: Annotated[
        str, typer.Option("--from", help="Who sends it: NAME.NAMESPACE of a workload, or outside.")
    ] = "outside",
    method: asking.Method = "GET",
    header: asking.Header = None,
    principal: asking.Principal = None,
    claim: asking.Claim = None,
    via: asking.Via = "",
    source_ip: asking.SourceIp = "",
    inventory: asking.Inventory = None,
    namespace: asking.Namespace = "default",
    form: asking.Form = output.Form.TEXT,
) -> None:
    """Tell what becomes of a request: listener, route, destinations, rewrites, authentication, authorization, status.

    Ends with 0 whatever the answer is, and with 2 when the files cannot be read or the request cannot be made.
    """
    *files, url = arguments
    if not files and inventory is None:
        output.fail("give the files of the mesh before the URL: mesh simulate FILES... URL", asking.UNREADABLE)
    mesh = asking.load([Path(file) for file in files], inventory, namespace)
    request = asking.request_of(url, source, method, header or (), principal, claim or (), via=via, source_ip=source_ip)
    decision = asking.decide(mesh, request)
    if form is output.Form.JSON:
        output.result(decision.to_json())
    else:
        output.tell(decision.explain())
