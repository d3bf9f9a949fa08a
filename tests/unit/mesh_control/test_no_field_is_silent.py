"""A field that people can write is compiled, refused, or listed here with the reason why it may be passed over."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import mesh_control
from mesh_control.validate import COMPILED

REFUSED_AS_A_WHOLE = {
    "BackendTls", "CookieConfig", "ExecProbe", "ExtensionRefFilter", "ExternalAuth", "ExternalAuthFilter", "ForwardBody",
    "GrpcAuth", "HttpAuth", "HttpProbe", "LabelExpression", "LabelSelector", "ReadinessProbe", "SessionPersistence",
}  # fmt: skip
"""Parts for which the control plane refuses the policy."""

PASSED_OVER = {
    ("FaultDelay", "exponential_delay"): "is refused by the model",
    ("FaultAbort", "http2_error"): "is refused by the model",
    ("FaultAbort", "grpc_status"): "is read as its number, `grpc_code`",
    ("HttpBody", "string"): "is read as `content`",
    ("HttpBody", "bytes"): "is read as `content`",
    ("GatewayClassSpec", "description"): "is for people",
}


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models(argument)


def reachable() -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    todo = [model for kind in COMPILED for model in models(kind.model_fields["spec"].annotation)]
    while todo:
        model = todo.pop()
        if model not in found:
            found.add(model)
            todo += [inner for field in model.model_fields.values() for inner in models(field.annotation)]
    return found


def test_every_field_is_read_somewhere() -> None:
    root = Path(mesh_control.__file__).parent
    source = "\n".join(file.read_text() for file in root.rglob("*.py"))
    silent = {
        (model.__name__, name)
        for model in reachable()
        if model.__name__ not in REFUSED_AS_A_WHOLE
        for name in model.model_fields
        if not re.search(rf"\.{name}\b", source)
    }
    assert silent == PASSED_OVER.keys()


def test_what_is_refused_as_a_whole_is_there() -> None:
    assert {model.__name__ for model in reachable()} >= REFUSED_AS_A_WHOLE
