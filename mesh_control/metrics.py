"""The control plane's metrics in Prometheus' text form, under istiod's names."""

from collections.abc import Iterable

from mesh_control.control import Control

HELP = {
    "pilot_xds": "Proxies that are connected.",
    "pilot_services": "Services that are known.",
    "pilot_virt_services": "VirtualServices that are in force.",
    "pilot_xds_pushes": "Responses sent, by type.",
    "pilot_xds_acks": "Responses that proxies have taken, by type.",
    "pilot_total_xds_rejects": "Responses that proxies have refused.",
    "pilot_source_problems": "Problems in the sources: files that cannot be used.",
}
_COUNTERS = ("pilot_xds_pushes", "pilot_xds_acks", "pilot_total_xds_rejects")


def exposition(control: Control) -> str:
    """All series."""
    hub, world = control.hub, control.state.world
    by_type = {"pushes": "pilot_xds_pushes", "acks": "pilot_xds_acks"}
    series: dict[str, list[tuple[str, float]]] = {
        "pilot_xds": [("", len(hub.names()))],
        "pilot_services": [("", len(world.services))],
        "pilot_virt_services": [("", len(world.virtual_services))],
        "pilot_xds_pushes": [],
        "pilot_xds_acks": [],
        "pilot_total_xds_rejects": [("", sum(n for (what, _), n in hub.counters.items() if what == "rejects"))],
        "pilot_source_problems": [("", len(control.state.problems()))],
    }
    for (what, kind), count in sorted(hub.counters.items()):
        if what in by_type:
            series[by_type[what]].append((f'{{type="{kind}"}}', count))
    return "".join(_family(name, values) for name, values in series.items())


def _family(name: str, values: Iterable[tuple[str, float]]) -> str:
    kind = "counter" if name in _COUNTERS else "gauge"
    lines = [f"# HELP {name} {HELP[name]}", f"# TYPE {name} {kind}"]
    return "\n".join([*lines, *(f"{name}{labels} {value:g}" for labels, value in values)]) + "\n"
