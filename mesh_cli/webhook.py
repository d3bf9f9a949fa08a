"""``mesh webhook``: the object that makes a Kubernetes API server ask the control plane about every policy."""

import sys
from typing import Annotated

import typer

from mesh_cli import output
from mesh_cli.policies import DEFAULT_SOCKET, Form, Socket, call
from mesh_control.client import ControlClient


def webhook(
    service: Annotated[
        str, typer.Option(help="NAMESPACE/NAME of the Service that leads to the control plane's port 15017.")
    ] = "istio-system/istiod",
    url: Annotated[
        str, typer.Option(help="Where the API server reaches the control plane without a Service: https://HOST:PORT.")
    ] = "",
    socket: Socket = DEFAULT_SOCKET,
    form: Form = output.Form.TEXT,
) -> None:
    """Print the ValidatingWebhookConfiguration, with the roots of the control plane's authority; for kubectl apply -f -."""
    from mesh_control.webhook.manifest import ServiceReference, client_of, configuration
    from mesh_policy.yaml_text import written

    namespace, slash, name = service.partition("/")
    if not slash or not namespace or not name:
        raise typer.BadParameter(f"{service!r} is not NAMESPACE/NAME", param_hint="--service")
    if url and not url.startswith("https://"):
        raise typer.BadParameter(f"{url!r} does not begin with https://", param_hint="--url")
    client = client_of(url) if url else ServiceReference(name, namespace).to_client()
    found = configuration(call(ControlClient(socket).trust_bundle()), client)
    if form is output.Form.JSON:
        output.result(found)
    else:
        sys.stdout.write(written(found))
