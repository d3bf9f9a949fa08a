"""How many connections from outside a proxy takes at once, as Envoy's bootstrap says it: the overload manager's monitor for
all listeners, and runtime keys for single ones.

More than there may be are closed as soon as they have come, so that those that are served go on.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mesh_proxy.document import Section

Limits = tuple[tuple[str, int], ...]
"""Names of listeners, and how many connections each may have; the empty name is for all together."""

_ALL: Final = "overload.global_downstream_max_connections"
_BEFORE, _AFTER = "envoy.resource_limits.listener.", ".connection_limit"
_MONITOR: Final = "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
_MANAGER: Final = {
    "refresh_interval": "connections are counted as they come",
    "actions": "what is too much is shed where it comes in; memory has limits of its own",
    "loadshed_points": "see actions",
    "buffer_factory_config": "buffers have limits of their own",
}
_MOST: Final = 2**63 - 1


def connection_limits(root: Section) -> Limits:
    """Of a whole bootstrap. Raises :class:`~mesh_proxy.document.DocumentError`."""
    found = _of_runtime(root.section("layered_runtime"))
    manager = root.section("overload_manager")
    if manager is not None:
        manager.ignore(_MANAGER)
        for monitor in manager.sections("resource_monitors"):
            found |= _of_monitor(monitor)
        manager.close()
    return tuple(sorted(found.items()))


def _of_monitor(monitor: Section) -> dict[str, int]:
    """The other monitors measure what has limits here anyway."""
    monitor.text("name")
    config = monitor.section("typed_config")
    if config is None or config.text("@type", "").rpartition("/")[2] != _MONITOR:
        return {}
    most = config.as_dict().get("max_active_downstream_connections")
    number = int(most) if isinstance(most, str) and most.isdigit() else most  # JSON of protobuf writes it as a string
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number <= _MOST:
        raise config.error("expected a whole number above 0", "max_active_downstream_connections")
    return {"": number}


def _of_runtime(runtime: Section | None) -> dict[str, int]:
    """No other keys mean anything here. A later layer counts before those above it (Envoy)."""
    found: dict[str, int] = {}
    for layer in [] if runtime is None else runtime.sections("layers"):
        values = layer.as_dict().get("static_layer")
        for key, value in _flat("", values) if isinstance(values, dict) else ():
            name = _listener(key)
            if name is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise layer.error(f"{key}: expected a whole number, found {value!r}", "static_layer")
            found[name] = value
    return found


def _listener(key: str) -> str | None:
    """The listener that a key is about, empty for all of them; ``None``: it is about something else."""
    if key == _ALL:
        return ""
    if key.startswith(_BEFORE) and key.endswith(_AFTER):
        return key[len(_BEFORE) : -len(_AFTER)]
    return None


def _flat(before: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys with dots, however deep they stand."""
    for key, value in values.items():
        whole = f"{before}.{key}" if before else key
        if isinstance(value, dict):
            yield from _flat(whole, value)
        else:
            yield whole, value


def share(limits: Limits, workers: int) -> Limits:
    """What each of so many workers may take, which count by themselves: together at least what was said."""
    return tuple((name, -(-most // workers)) for name, most in limits)
