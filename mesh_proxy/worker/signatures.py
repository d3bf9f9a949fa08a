"""What every answer says: who gives it, when, by whom it came, and to which request."""

from mesh_proxy.protocol.http1 import Field, Head, field_of
from mesh_proxy.snapshot import HttpChain
from mesh_proxy.worker.context import Context


def signed(fields: list[Field], answer: Head | None, asked: Head, chain: HttpChain, context: Context) -> list[Field]:
    """The fields of an answer (``None``: of one of our own) to a request with what every answer has."""
    via = chain.via
    if via:
        before = [field.value for field in fields if field.name == b"via"]
        fields = [field for field in fields if field.name != b"via"]
        fields.append(field_of(b"via", b", ".join([*before, via])))
    if answer is None or not answer.dated:
        fields.append(context.date())
    if chain.overwrites_server:
        fields.append(chain.server_field)
    else:
        own = None if answer is None else answer.get(b"server")
        if own is not None:
            fields.append(field_of(b"server", own))
        elif chain.adds_server:
            fields.append(chain.server_field)
    if chain.answers_ids:
        identity = asked.get(b"x-request-id")
        if identity is not None:
            fields.append(field_of(b"x-request-id", identity))
    return fields
