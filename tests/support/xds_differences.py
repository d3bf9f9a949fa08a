"""Two sets of resources compared for what they mean: order and defaults aside, every difference is told.

What is accepted stands in :data:`PRIVATE` and :data:`ACCEPTED`, each with its reason.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

PREFIX = "type.googleapis.com/"
PRIVATE = {
    "stats.PluginConfig": "Istio's metrics; ours measures by itself",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig": "chooses the ALPN of TLS to sidecars",
    "envoy.tcp.metadataexchange.config.MetadataExchange": "names the peer's workload, for Istio's metrics",
    "io.istio.http.peer_metadata.Config": "names the peer's workload, for Istio's metrics",
}
"""Istio's own filters, which no other Envoy has."""

ACCEPTED: Mapping[str, str] = {
    r"cds\[outbound\|.*\.cluster_type\.typed_config\.allow_insecure_cluster_options": "Envoy refuses istiod's clusters for "
    "HTTP/2 to hosts that requests name, since they say something of HTTP and nothing of names that TLS asks for",
}
"""Path (a regular expression) to the reason why what is there may differ."""

DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "case_sensitive": (True,),
    "filter_chain_match": ({},),
    "common_lb_config": ({},),
    "common_http_protocol_options": ({},),
    "path_redirect": ("",),
    "use_remote_address": (False,),
    "max_direct_response_body_size_bytes": (4096,),
    "host_selection_retry_max_attempts": ("1",),
    "require_client_certificate": (False,),
    "validation_context": ({},),
    "locality": ({},),
    "budget_interval": ("0s",),
}
"""Field to values that mean the same as its absence, wherever it stands (Envoy's API)."""

PLAIN_HTTP: Mapping[str, Any] = {
    "@type": f"{PREFIX}envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "explicit_http_config": {"http_protocol_options": {}},
}
"""Options of a cluster that mean the same as none: HTTP/1.1."""
_ELSEWHERE = {
    "cleanup_interval": ("type", "ORIGINAL_DST", "5s"),
}
OUTLIERS: Mapping[str, Any] = {
    "consecutive_5xx": 5,
    "consecutive_gateway_failure": 5,
    "consecutive_local_origin_failure": 5,
    "enforcing_consecutive_5xx": 100,
    "enforcing_consecutive_gateway_failure": 0,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_local_origin_success_rate": 100,
    "enforcing_success_rate": 100,
    "interval": "10s",
    "base_ejection_time": "30s",
    "max_ejection_percent": 10,
}
"""Envoy's defaults of what ejects hosts."""
FRACTIONS = ("default_value", "percentage")
"""Where a share stands, which may be written as parts of different wholes."""
PARTS = {"HUNDRED": 10_000, "TEN_THOUSAND": 100, "MILLION": 1}
ALTERNATIVES = ("ids", "rules")
"""Conditions of which one that stands twice says no more. istiod appends the aliases of its trust domain to the values of
conditions each time that it compiles them."""
UNORDERED = ("domains", "resource_names")


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> list[str]:
    """One line for each field that differs, by the path to it; ``theirs`` are istiod's."""
    found = []
    for section in ("cds", "eds", "lds", "rds"):
        one, other = ([normal(resource) for resource in side.get(section, ())] for side in (theirs, ours))
        for path, left, right in _differences(one, other, section):
            if not any(re.search(pattern, path) for pattern in ACCEPTED):
                found.append(f"{path}\n    istiod: {_short(left)}\n    ours:   {_short(right)}")
    return found


def normal(value: Any) -> Any:
    """A value without what says nothing: defaults, private filters, the type of the resource itself."""
    if isinstance(value, list):
        kept = [normal(item) for item in value]
        return [item for item in kept if not _is_private(item)]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, dict):
        return value
    unknown = value.get("value")
    if isinstance(unknown, dict) and "UNKNOWN_TYPE_URL" in unknown:
        return {"@type": unknown["UNKNOWN_TYPE_URL"]}
    made = {key: normal(item) for key, item in value.items()}
    return {key: _ordered(key, item) for key, item in made.items() if not _says_nothing(key, item, made)}


def _outliers(value: Mapping[str, Any]) -> dict[str, Any]:
    """Detectors with Envoy's defaults, and without what says nothing: the count of one that does not eject, and errors on the
    way to a host where they are not counted apart."""
    told = {**OUTLIERS, **value}
    for error in ("5xx", "gateway_failure", "local_origin_failure"):
        if not told[f"enforcing_consecutive_{error}"]:
            told.pop(f"consecutive_{error}")
    split = told.get("split_external_local_origin_errors")
    return {name: found for name, found in told.items() if split or "local_origin" not in name}


def _ordered(key: str, value: Any) -> Any:
    if key == "outlier_detection" and isinstance(value, dict):
        return _outliers(value)
    if key in FRACTIONS and isinstance(value, dict) and value.keys() <= {"numerator", "denominator"}:
        return {"parts_per_million": value.get("numerator", 0) * PARTS[value.get("denominator", "HUNDRED")]}
    if key == "query_parameters":  # all must hold; istiod writes them in the order of Go's maps
        return sorted(value, key=lambda parameter: str(parameter.get("name")))
    if key in ALTERNATIVES and isinstance(value, list):
        return [item for place, item in enumerate(value) if item not in value[:place]]
    return sorted(value) if key in UNORDERED else value


def _says_nothing(key: str, value: Any, around: Mapping[str, Any]) -> bool:
    if key in DEFAULTS and any(value == default and type(value) is type(default) for default in DEFAULTS[key]):
        return True
    if key in ("filters", "http_filters") and value == []:
        return True  # private ones only
    if key == "load_balancing_weight" and value == 1 and "endpoint" in around:
        return True  # a host's; a locality without one gets nothing
    if key in ("http_protocol_options", "http2_protocol_options") and value == {} and "stat_prefix" in around:
        return True
    if key in ("dns_lookup_family", "dns_refresh_rate", "dns_jitter", "respect_dns_ttl", "typed_dns_resolver_config"):
        return around.get("type") == "ORIGINAL_DST"  # which asks for no names; istiod leaves what was there before
    if key == "least_request_lb_config":
        return around.get("lb_policy") in ("RING_HASH", "MAGLEV")  # which Envoy does not look at there
    if key == "typed_extension_protocol_options" and list(value.values()) == [PLAIN_HTTP]:
        return True
    if key == "max_ejection_time" and value == "300s":
        return True
    return key == "cleanup_interval" and value == "5s" and around.get("type") == "ORIGINAL_DST"


def _is_private(item: Any) -> bool:
    config = item.get("typed_config") if isinstance(item, dict) else None
    if not isinstance(config, dict):
        return False
    return str(config.get("type_url") or config.get("@type")).removeprefix(PREFIX) in PRIVATE


def _differences(theirs: Any, ours: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if theirs == ours and type(theirs) is type(ours):
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in sorted(theirs.keys() | ours.keys()):
            yield from _differences(theirs.get(key), ours.get(key), f"{path}.{key}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        yield from _of_lists(theirs, ours, path)
    else:
        yield path, theirs, ours


def _of_lists(theirs: Sequence[Any], ours: Sequence[Any], path: str) -> Iterator[tuple[str, Any, Any]]:
    keys = [[_key(item) for item in side] for side in (theirs, ours)]
    named = all(key is not None for side in keys for key in side) and all(len(set(side)) == len(side) for side in keys)
    if not named:
        if len(theirs) != len(ours):
            yield path, theirs, ours
            return
        for place, (one, other) in enumerate(zip(theirs, ours, strict=True)):
            yield from _differences(one, other, f"{path}[{place}]")
        return
    left, right = dict(zip(keys[0], theirs, strict=True)), dict(zip(keys[1], ours, strict=True))
    for key in {**left, **right}:
        yield from _differences(left.get(key), right.get(key), f"{path}[{key}]")
    if path.rpartition(".")[2] not in ("cds", "eds", "lds", "rds", "filter_chains", "virtual_hosts"):
        order = [[key for key in side if key in left and key in right] for side in keys]
        if order[0] != order[1]:
            yield f"{path} (order)", *order


def _key(item: Any) -> str | None:
    """By what an item of a list is known: filter chains by their conditions, which must be different anyway."""
    if not isinstance(item, dict):
        return None
    if "filters" in item or "filter_chain_match" in item:
        return f"{item.get('name', '')} {json.dumps(item.get('filter_chain_match', {}), sort_keys=True)}"
    name = item.get("name") or item.get("cluster_name")
    return None if name is None or "match" in item else str(name)


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, sort_keys=True)
    return text if len(text) < 600 else text[:600] + " ..."
