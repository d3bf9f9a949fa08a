"""The one list of the ``mesh`` command's verbs.

A verb's module is imported when the verb is used, and no other's. This module imports nothing, so that ``mesh --help`` is
written at once. To add a verb: see "How to add" in CONTRIBUTING.md.
"""

from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb is: ``module`` has ``attribute``, a function with typer's parameters or a ``typer.Typer`` of several."""

    module: str
    attribute: str
    help: str


VERBS: dict[str, Verb] = {
    "analyze": Verb("mesh_cli.analyze", "analyze", "Check policies against each other and the services beside them."),
    "simulate": Verb("mesh_cli.simulate", "simulate", "Tell what becomes of a request, without a cluster."),
    "compile": Verb("mesh_cli.compile", "compile_", "Print what the control plane would send to a proxy."),
    "render": Verb(
        "mesh_cli.render", "render", "Print a proxy's whole configuration, to run it without a control plane."
    ),
    "diff": Verb("mesh_cli.diff", "diff", "Tell which requests two sets of policies treat differently."),
    "describe": Verb("mesh_cli.describe", "describe", "What applies to a workload."),
    "authz": Verb("mesh_cli.authz", "app", "Why a request is allowed or denied."),
    "explain": Verb("mesh_cli.explain", "explain", "What a response flag or an access-log line says."),
    "crds": Verb("mesh_cli.schemas", "crds", "CustomResourceDefinitions of the kinds, made of the models."),
    "schema": Verb("mesh_cli.schemas", "schema", "A JSON schema of all kinds, for editors."),
    "policies": Verb("mesh_cli.policies", "app", "Sets of policies at the control plane, by owner."),
    "canary": Verb("mesh_cli.canary", "app", "Releases that the control plane moves step by step."),
    "tokens": Verb("mesh_cli.tokens", "app", "Join tokens, for workloads that have no certificate yet."),
    "ca": Verb("mesh_cli.ca", "app", "The certificate authority: its roots, their expiry and rotation."),
    "manifests": Verb("mesh_cli.manifests", "manifests", "Everything that a cluster needs for the mesh, as objects."),
    "inject": Verb("mesh_cli.manifests", "inject", "Put proxies into the pods of manifests."),
    "webhook": Verb("mesh_cli.webhook", "webhook", "What makes a Kubernetes API server ask about policies."),
    "status": Verb("mesh_cli.status", "status", "What each proxy was sent and has taken."),
    "proxy-config": Verb(
        "mesh_cli.proxy_config", "proxy_config", "What a proxy was sent and has taken, resource by resource."
    ),
    "wait": Verb("mesh_cli.status", "wait", "Wait until every connected proxy has taken the newest configuration."),
    "cluster": Verb("mesh_cli.cluster", "app", "A Kubernetes cluster on your machines: make, change, keep and end it."),
    "observe": Verb("mesh_cli.observe", "observe", "Make a demo scenario's requests and say what was seen."),
}
"""Verb to where it is, in the order of the help."""

OPTIONS = {
    "--version": "Show the version.",
    "--install-completion": "Install completion for the current shell.",
    "--show-completion": "Show completion for the current shell, to copy it or customize the installation.",
    "--help": "Show this message.",
}
"""Options of the command itself."""


def help_text() -> str:
    """What ``mesh --help`` shows."""
    verbs = {name: verb.help for name, verb in VERBS.items()}
    return f"""\
Usage: mesh [OPTIONS] VERB [ARGS]...

  Write, check, try and operate the mesh's policies.

Verbs:
{_columns(verbs)}

Options:
{_columns(OPTIONS)}

Each verb has its own help: mesh VERB --help"""


def _columns(rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"  {name.ljust(width)}  {text}" for name, text in rows.items())
