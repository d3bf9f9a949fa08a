"""``mesh manifests`` and ``mesh inject``: what a cluster needs for the mesh, and pods with their proxies, as YAML."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesh_cli import output, reading

if TYPE_CHECKING:
    from mesh_control.installation.values import Installation

UNREADABLE = 2
Values = Annotated[Path | None, typer.Option("--values", help="A YAML file with what is to be otherwise, or -.")]
Form = Annotated[output.Form, typer.Option("--output", "-o", help="text is YAML; json is a list.")]


def manifests(values: Values = None, form: Form = output.Form.TEXT) -> None:
    """Print every object that a cluster needs for the mesh, for ``kubectl apply --server-side -f -``."""
    from mesh_control.installation.objects import objects

    _print(list(objects(_values(values))), form)


def inject(
    files: Annotated[list[str], typer.Option("-f", "--file", help="A YAML file, a folder, or - ; may be repeated.")],
    values: Values = None,
    native: Annotated[
        bool, typer.Option(help="Whether the cluster has sidecar containers (Kubernetes from 1.29 on).")
    ] = True,
    form: Form = output.Form.TEXT,
) -> None:
    """Print the manifests with a proxy in every pod that wants one: the same as the webhook makes of them.

    Ends with 2 when they cannot be read, or a pod that is to have a proxy cannot have one.
    """
    import yaml

    from mesh_control.injection.files import Injection
    from mesh_control.injection.pods import InjectionError, Surroundings
    from mesh_control.injection.template import Template
    from mesh_control.installation.control import settings
    from mesh_policy.errors import PolicyError

    chosen = _values(values)
    template = Template.model_validate(settings(chosen)["injection"])
    version = None if native else (1, 0)
    injection = Injection(Surroundings(template, chosen.mesh, version), chosen.namespace)
    made: list[dict[str, Any]] = []
    try:
        for name, text in reading.texts(files):
            for value in yaml.safe_load_all(text):
                if isinstance(value, dict):
                    made.append(injection.document(value))
                elif value is not None:
                    output.fail(f"{name}: a document is no object", UNREADABLE)
    except (PolicyError, InjectionError, yaml.YAMLError) as error:
        output.fail(str(error), UNREADABLE)
    for line in injection.warnings:
        output.say(f"warning: {line}")
    for line in injection.skipped:
        output.say(f"without a proxy: {line}")
    _print(made, form)


def _values(path: Path | None) -> "Installation":
    from mesh_control.installation.values import Installation, ValuesError, read
    from mesh_policy.errors import PolicyError

    if path is None:
        return Installation()
    try:
        named = reading.STANDARD_INPUT if str(path) == "-" else str(path)
        return read(reading.text(path), named)
    except (ValuesError, PolicyError) as error:
        output.fail(str(error), UNREADABLE)


def _print(made: list[dict[str, Any]], form: output.Form) -> None:
    from mesh_policy.yaml_text import written

    if form is output.Form.JSON:
        output.result(made)
    else:
        output.tell("---\n".join(map(written, made)), nl=False)
