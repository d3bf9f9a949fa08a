"""``mesh crds`` and ``mesh schema``: what clusters and editors are told of the kinds."""

import json
from typing import Annotated

import typer

from mesh_cli import output


def crds(
    kinds: Annotated[list[str] | None, typer.Option("--kind", "-k", help="Only this kind; may be given again.")] = None,
) -> None:
    """Write the CustomResourceDefinitions of Istio's kinds as YAML, for ``kubectl apply -f -``.

    Those of the Gateway API are left out: they are Kubernetes' own, and installed from its releases.
    """
    from mesh_policy.schema.crds import definition, istio_kinds
    from mesh_policy.yaml_text import written

    known = {kind.KIND: kind for kind in istio_kinds()}
    for name in kinds or ():
        if name not in known:
            output.fail(f"{name} has no definition here; there are {', '.join(known)}", 2)
    output.tell("---\n".join(written(definition(known[name])) for name in kinds or known), nl=False)


def schema() -> None:
    """Write one JSON schema of all kinds, for editors that check YAML while it is written."""
    from mesh_policy.schema.json_schema import json_schema

    output.tell(json.dumps(json_schema(), indent=2))
