"""Writes what is made from the environment's model: ``python -m stacks.render [--check]``.

The argument specifications of the roles, the static inventory of the environment ``local``, and the reference table of
the settings. They are committed, so that Ansible works alone; ``--check`` ends with 1 when one is stale.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mesh_policy.mesh_config import MeshConfig
from stacks import ansible_inventory, argument_specs
from stacks.environment import Environment
from stacks.environments import local

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Made by `python -m stacks.render`; edit stacks/ instead."


def files() -> dict[str, str]:
    """Path from the project's root to content."""
    made = {
        f"roles/{role}/meta/argument_specs.yml": _yaml(argument_specs.specification(role))
        for role in argument_specs.ROLES
    }
    made["inventories/local/static.yml"] = _yaml(
        ansible_inventory.inventory(local.ENVIRONMENT, ansible_inventory.static_connections(local.ENVIRONMENT))
    )
    made["docs/reference/environment.md"] = _reference()
    return made


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, as the linters of Ansible want it."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _yaml(content: dict[str, Any]) -> str:
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=116, allow_unicode=True)
    return f"---\n# {NOTE}\n{text}"


def _reference() -> str:
    lines = [
        "# Settings of an environment",
        "",
        f"<!-- {NOTE} -->",
        "",
        "Each is a key below `meshwright:environment` in the stack's configuration, for instance",
        "`pulumi config set --path 'meshwright:environment.mesh.proxy.concurrency' 2`.",
        "",
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{key}` | {_type(info)} | {_default(info)} | {info.description} |" for key, info in _fields(Environment, "")
    ]
    return "\n".join(lines) + "\n"


def _fields(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    for name, info in model.model_fields.items():
        inner = _inner(info.annotation)
        key = f"{prefix}{name}"
        if inner is None or inner is MeshConfig:  # which has a reference of its own
            yield key, info
        else:
            many = "[]" if get_args(info.annotation) and ... in get_args(info.annotation) else ""
            yield f"{key}{many}", info
            yield from _fields(inner, f"{key}{many}.")


def _inner(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _type(info: FieldInfo) -> str:
    if _inner(info.annotation) is not None:
        return "table"
    choices = [value for value in get_args(info.annotation) if isinstance(value, str)]
    if choices:
        return " or ".join(f"`{choice}`" for choice in choices)
    return getattr(info.annotation, "__name__", str(info.annotation)).replace("|", "or").replace("NoneType", "unset")


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    if info.default is None or _inner(info.annotation) is not None:
        return "-"
    return f"`{info.get_default(call_default_factory=True)}`"


def main() -> int:
    """Write, or with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when a file is stale")
    check = parser.parse_args().check
    stale = [path for path, text in files().items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text]
    for path in stale:
        sys.stdout.write(f"{'stale' if check else 'written'}: {path}\n")
        if not check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(files()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
