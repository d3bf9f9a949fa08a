"""Everything of an installation, in the order in which it is applied. Pure."""

from collections.abc import Iterator
from typing import Any

from mesh_control.installation import control, gateways
from mesh_control.installation.values import Installation


def objects(values: Installation) -> Iterator[dict[str, Any]]:
    """Definitions first, as nothing of their kinds can be kept before; webhooks last, as nobody answers before."""
    if values.definitions:
        yield from control.definitions()
    yield from control.objects(values)
    for gateway in values.gateways:
        yield from gateways.objects(values, gateway)
    yield from control.webhooks(values)
