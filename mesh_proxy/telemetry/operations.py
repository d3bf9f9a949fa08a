"""What a request is called in traces: the proxies of its client and of its server tell each other.

A client's proxy tells with the request what its route calls it, and a server's with the answer, unless the request had a name
already. Whoever is told uses that name for its own span, and takes the field away: applications see none (Envoy,
``ConnectionManagerImpl::ActiveStream::traceRequest``). Without tracing the field is one as any other.
"""

from typing import Final

from mesh_proxy.protocol.http1 import OPERATION, Field, Head, field_of
from mesh_proxy.telemetry.record import Record

_NAME: Final = b"x-envoy-decorator-operation"
_OPERATION: Final = 1 << OPERATION


def told_as(operation: str) -> Field | None:
    """How the other proxy is told; ``None`` where there is nothing to tell."""
    return field_of(_NAME, operation.encode()) if operation else None


def of_request(head: Head, record: Record, own: Field | None, inbound: bool) -> None:
    """A request before it goes on; ``own`` is what its route calls it."""
    if inbound:
        if head.seen & _OPERATION:
            record.operation = head.get(_NAME) or b""
            head.drop(_NAME)
    elif own is not None:
        if head.seen & _OPERATION:
            head.drop(_NAME)
        head.add(own)


def of_answer(fields: list[Field], record: Record, own: Field | None, inbound: bool) -> list[Field]:
    """An answer's fields before they go on."""
    if inbound:
        if own is None or record.operation:
            return fields
        return [*(field for field in fields if field.name != _NAME), own]
    told = [field.value for field in fields if field.name == _NAME]
    if not told:
        return fields
    record.operation = b",".join(told)
    return [field for field in fields if field.name != _NAME]
