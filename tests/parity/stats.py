"""What the proxies count, by Envoy's names; compared is how much each grew in a case."""

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote

from tests.parity.outcomes import Outcome

OF_CLUSTERS = frozenset(
    {
        *("upstream_rq_total", "upstream_rq_completed", "upstream_rq_retry", "upstream_rq_retry_success"),
        *("upstream_rq_retry_limit_exceeded", "upstream_rq_retry_overflow", "upstream_rq_timeout"),
        *("upstream_rq_per_try_timeout", "upstream_rq_pending_overflow", "upstream_cx_connect_fail"),
        *("upstream_cx_none_healthy", "upstream_cx_overflow", "upstream_rq_rx_reset", "upstream_rq_tx_reset"),
        *("upstream_rq_1xx", "upstream_rq_2xx", "upstream_rq_3xx", "upstream_rq_4xx", "upstream_rq_5xx"),
    }
)
OF_HTTP = frozenset(
    {
        *("downstream_rq_total", "downstream_rq_completed", "downstream_rq_1xx", "downstream_rq_2xx"),
        *("downstream_rq_3xx", "downstream_rq_4xx", "downstream_rq_5xx"),
    }
)
OF_TLS = r"(listener|cluster)\..+\.ssl\.[\w.]+"
"""Names in full that cases may give."""
OF_TCP = frozenset({"downstream_cx_total"})
"""What is compared in every case: the last parts of names."""
_PORT = re.compile(r"^listener\.[0-9._]+\.")
_LISTENER = re.compile(r"listener\.[0-9._]+\.http\.([^.]+)\.\w+")
_CLUSTER = re.compile(r"cluster\.([^.]+)\.(\w+)")


def page(more: Iterable[str]) -> str:
    """The page with what is compared alone: there are thousands of others. ``more`` are names in full."""
    names = [
        rf"cluster\.[^.]+\.({'|'.join(sorted(OF_CLUSTERS))})",
        rf"(http|tcp)\.[^.]+\.({'|'.join(sorted(OF_HTTP | OF_TCP))})",
        rf"listener\.[0-9._]+\.http\.[^.]+\.({'|'.join(sorted(OF_HTTP))})",
        OF_TLS,
        # Their dots may stand for themselves: the whole line must be short enough for a server.
        *(name for name in more if not re.fullmatch(OF_TLS, name)),
    ]
    return f"/stats?format=json&usedonly&filter={quote('^(' + '|'.join(names) + ')$', safe='|()')}"


def read(page: bytes) -> Mapping[str, int]:
    """The numbers of ``/stats?format=json``."""
    listed = json.loads(page)["stats"]
    return {one["name"]: one["value"] for one in listed if isinstance(one.get("value"), int)}


def named(name: str, listener: str, port: int) -> str:
    """A name that a case gives, in full; ``$`` stands for the listener, in ``listener.$`` for its address."""
    return name.replace("listener.$", f"listener.127.0.0.1_{port}").replace("$", listener)


def grown(
    listener: str, port: int, before: Mapping[str, int], after: Mapping[str, int], more: tuple[str, ...]
) -> Outcome:
    """Of everything that is compared, what has grown, and by how much. ``more`` are further names."""
    found: Outcome = {}
    more = tuple(named(name, listener, port) for name in more)
    for name, value in after.items():
        growth = value - before.get(name, 0)
        if growth and (name in more or _compared(name, listener)):
            found["stat " + _PORT.sub("listener.", name.replace(f".{listener}.", "."))] = growth
    return found


def _compared(name: str, listener: str) -> bool:
    cluster = _CLUSTER.fullmatch(name)
    if cluster is not None:
        return cluster[2] in OF_CLUSTERS
    of_listener = _LISTENER.fullmatch(name)
    if of_listener is not None:
        return of_listener[1] == listener
    if name.startswith(f"http.{listener}."):
        return name.rpartition(".")[2] in OF_HTTP
    return name.startswith(f"tcp.{listener}.") and name.rpartition(".")[2] in OF_TCP
