"""What a route does with a request (``route.v3.RouteAction``, ``RedirectAction``, ``DirectResponseAction``)."""

from typing import Any, Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.type.matcher.v3 import regex_pb2

from mesh_api.config.routes import (
    MILLION,
    DirectResponse,
    HashPolicy,
    Mirror,
    Redirect,
    RegexRewrite,
    RouteAction,
    WeightedCluster,
)
from mesh_api.xds.data_sources import decode_source, encode_source
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.header_edits import decode_edits, encode_edits
from mesh_api.xds.internal_redirects import decode_redirects, encode_redirects
from mesh_api.xds.labels import encode_labels, read_match
from mesh_api.xds.matchers import decode_regex, encode_regex
from mesh_api.xds.retries import decode_retry, encode_retry
from mesh_api.xds.values import boolean, duration, read_runtime_fraction, runtime_fraction, uint32

CONNECT: Final = "CONNECT"
_NOT_FOUND_CODES: Final = {503: "SERVICE_UNAVAILABLE", 404: "NOT_FOUND", 500: "INTERNAL_SERVER_ERROR"}
_REDIRECT_CODES: Final = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}


def encode_route_action(action: RouteAction) -> Any:
    """``RouteAction``."""
    if bool(action.cluster) == bool(action.weighted_clusters):
        raise EncodeError("a route action needs either a cluster or weighted clusters")
    if action.host_rewrite and action.auto_host_rewrite:
        raise EncodeError("host_rewrite and auto_host_rewrite are both set")
    code = _NOT_FOUND_CODES.get(action.cluster_not_found_code)
    if code is None:
        raise EncodeError(f"cluster_not_found_code {action.cluster_not_found_code} is none of 404, 500, 503")
    message = route_pb2.RouteAction(
        cluster_not_found_response_code=route_pb2.RouteAction.ClusterNotFoundResponseCode.Value(code),
        timeout=duration(action.timeout),
        idle_timeout=duration(action.idle_timeout),
        max_grpc_timeout=duration(action.max_grpc_timeout),
        retry_policy=None if action.retry is None else encode_retry(action.retry),
        prefix_rewrite=action.prefix_rewrite,
        regex_rewrite=_encode_rewrite(action.regex_rewrite),
        append_x_forwarded_host=action.append_x_forwarded_host,
        hash_policy=[_encode_hash_policy(policy) for policy in action.hash_policies],
        request_mirror_policies=[_encode_mirror(mirror) for mirror in action.mirrors],
        upgrade_configs=_encode_upgrades(action),
        metadata_match=encode_labels(action.metadata_match),
        internal_redirect_policy=encode_redirects(action.internal_redirects),
        priority=base_pb2.RoutingPriority.Value("HIGH" if action.high_priority else "DEFAULT"),
    )
    _encode_destination(action, message)
    return message


def _encode_destination(action: RouteAction, message: Any) -> None:
    if action.cluster:
        message.cluster = action.cluster
    else:
        message.weighted_clusters.clusters.extend(_encode_weighted(cluster) for cluster in action.weighted_clusters)
        if action.use_hash_policy:
            message.weighted_clusters.use_hash_policy.CopyFrom(boolean(True))
    if action.host_rewrite:
        message.host_rewrite_literal = action.host_rewrite
    if action.auto_host_rewrite:
        message.auto_host_rewrite.CopyFrom(boolean(True))
    durations = (action.max_stream_duration, action.grpc_timeout_header_max, action.grpc_timeout_header_offset)
    if any(one is not None for one in durations):
        message.max_stream_duration.CopyFrom(
            route_pb2.RouteAction.MaxStreamDuration(
                max_stream_duration=duration(action.max_stream_duration),
                grpc_timeout_header_max=duration(action.grpc_timeout_header_max),
                grpc_timeout_header_offset=duration(action.grpc_timeout_header_offset),
            )
        )


def _encode_upgrades(action: RouteAction) -> list[Any]:
    config = route_pb2.RouteAction.UpgradeConfig
    made = [config(upgrade_type=upgrade) for upgrade in action.upgrades]
    if action.ends_connect:
        made.append(config(upgrade_type=CONNECT, connect_config=config.ConnectConfig()))
    return made + [config(upgrade_type=upgrade, enabled=boolean(False, unless=True)) for upgrade in action.upgrades_off]


def _encode_weighted(cluster: WeightedCluster) -> Any:
    message = route_pb2.WeightedCluster.ClusterWeight(
        name=cluster.name,
        weight=uint32(cluster.weight),
        metadata_match=encode_labels(cluster.metadata_match),
        **encode_edits(cluster.edits),
    )
    if cluster.host_rewrite:
        message.host_rewrite_literal = cluster.host_rewrite
    return message


def _encode_rewrite(rewrite: RegexRewrite | None) -> Any:
    if rewrite is None:
        return None
    return regex_pb2.RegexMatchAndSubstitute(pattern=encode_regex(rewrite.pattern), substitution=rewrite.substitution)


def _encode_mirror(mirror: Mirror) -> Any:
    return route_pb2.RouteAction.RequestMirrorPolicy(
        cluster=mirror.cluster,
        runtime_fraction=runtime_fraction(mirror.fraction),
        disable_shadow_host_suffix_append=mirror.disable_shadow_host_suffix,
        trace_sampled=boolean(mirror.trace_sampled),
    )


def _encode_hash_policy(policy: HashPolicy) -> Any:
    if sum(map(bool, (policy.header, policy.cookie, policy.query_parameter, policy.source_ip))) != 1:
        raise EncodeError("a hash policy needs exactly one of header, cookie, query_parameter, source_ip")
    message = route_pb2.RouteAction.HashPolicy(terminal=policy.terminal)
    if policy.header:
        message.header.header_name = policy.header
    elif policy.cookie:
        message.cookie.CopyFrom(
            route_pb2.RouteAction.HashPolicy.Cookie(
                name=policy.cookie,
                ttl=duration(policy.cookie_ttl),
                path=policy.cookie_path,
                attributes=[
                    route_pb2.RouteAction.HashPolicy.CookieAttribute(name=name, value=value)
                    for name, value in policy.cookie_attributes
                ],
            )
        )
    elif policy.query_parameter:
        message.query_parameter.name = policy.query_parameter
    else:
        message.connection_properties.source_ip = True
    return message


def decode_route_action(fields: Fields) -> RouteAction:
    """From ``RouteAction``."""
    with fields as f:
        kind = f.oneof("cluster_specifier")
        if kind not in ("cluster", "weighted_clusters"):
            raise f.error("", f"{kind or 'a missing destination'} is not supported")
        with f.child("max_stream_duration") as stream:
            longest, header_max = stream.duration("max_stream_duration"), stream.duration("grpc_timeout_header_max")
            header_offset = stream.duration("grpc_timeout_header_offset")
        clusters, hashed = decode_weighted_clusters(f) if kind == "weighted_clusters" else ((), False)
        code = f.enum("cluster_not_found_response_code", *_NOT_FOUND_CODES.values())
        return RouteAction(
            cluster=f.text("cluster"),
            weighted_clusters=clusters,
            use_hash_policy=hashed,
            timeout=f.duration("timeout"),
            idle_timeout=f.duration("idle_timeout"),
            max_stream_duration=longest,
            max_grpc_timeout=f.duration("max_grpc_timeout"),
            grpc_timeout_header_max=header_max,
            grpc_timeout_header_offset=header_offset,
            retry=None if (retry := f.optional("retry_policy")) is None else decode_retry(retry),
            prefix_rewrite=f.text("prefix_rewrite"),
            regex_rewrite=_decode_rewrite(f.optional("regex_rewrite")),
            host_rewrite=f.text("host_rewrite_literal"),
            auto_host_rewrite=f.wrapped_flag("auto_host_rewrite", default=False),
            append_x_forwarded_host=f.flag("append_x_forwarded_host"),
            hash_policies=tuple(_decode_hash_policy(policy) for policy in f.children("hash_policy")),
            mirrors=tuple(_decode_mirror(mirror) for mirror in f.children("request_mirror_policies")),
            cluster_not_found_code=next(number for number, name in _NOT_FOUND_CODES.items() if name == code),
            **_decode_route_upgrades(f),
            metadata_match=read_match(f.optional("metadata_match")),
            internal_redirects=decode_redirects(f.optional("internal_redirect_policy")),
            high_priority=f.enum("priority") == "HIGH",
        )


def decode_weighted_clusters(fields: Fields) -> tuple[tuple[WeightedCluster, ...], bool]:
    """From the ``weighted_clusters`` of a route action; and whether the hash policies choose among them."""
    with fields.child("weighted_clusters") as f:
        hashed = f.wrapped_flag("use_hash_policy", default=False)
        return tuple(_decode_weighted(cluster) for cluster in f.children("clusters")), hashed


def _decode_weighted(fields: Fields) -> WeightedCluster:
    with fields as f:
        return WeightedCluster(
            name=f.text("name"),
            weight=f.wrapped_number("weight", 0),
            edits=decode_edits(f),
            host_rewrite=f.text("host_rewrite_literal"),
            metadata_match=read_match(f.optional("metadata_match")),
        )


def decode_upgrades(fields: Fields) -> tuple[str, ...]:
    """The types in ``upgrade_configs`` of a connection manager that are on."""
    upgrades = []
    for config in fields.children("upgrade_configs"):
        with config as c:
            kind = c.text("upgrade_type")
            if c.wrapped_flag("enabled", default=True):
                upgrades.append(kind)
    return tuple(upgrades)


def _decode_route_upgrades(fields: Fields) -> dict[str, Any]:
    """Those of a route action: what is on, what is off, and whether tunnels end here."""
    on, off, ends = [], [], False
    for config in fields.children("upgrade_configs"):
        with config as c:
            kind, enabled = c.text("upgrade_type"), c.wrapped_flag("enabled", default=True)
            if c.has("connect_config"):
                if kind != CONNECT:
                    raise c.error("connect_config", f"is for {CONNECT}, not for {kind}")
                c.nothing_in("connect_config")
                ends = enabled
            if not enabled:
                off.append(kind)
            elif not ends or kind != CONNECT:
                on.append(kind)
    return {"upgrades": tuple(on), "upgrades_off": tuple(off), "ends_connect": ends}


def _decode_rewrite(fields: Fields | None) -> RegexRewrite | None:
    if fields is None:
        return None
    with fields as f:
        return RegexRewrite(decode_regex(f.child("pattern")), f.text("substitution"))


def _decode_mirror(fields: Fields) -> Mirror:
    with fields as f:
        return Mirror(
            cluster=f.text("cluster"),
            fraction=read_runtime_fraction(f.optional("runtime_fraction"), MILLION),
            disable_shadow_host_suffix=f.flag("disable_shadow_host_suffix_append"),
            trace_sampled=f.wrapped("trace_sampled"),
        )


def _decode_hash_policy(fields: Fields) -> HashPolicy:
    with fields as f:
        kind, terminal = f.oneof("policy_specifier"), f.flag("terminal")
        if kind not in ("header", "cookie", "query_parameter", "connection_properties"):
            raise f.error("", f"{kind or 'a missing policy'} is not supported")
        with f.child(kind) as policy:
            if kind == "header":
                return HashPolicy(header=policy.text("header_name"), terminal=terminal)
            if kind == "query_parameter":
                return HashPolicy(query_parameter=policy.text("name"), terminal=terminal)
            if kind == "connection_properties":
                return HashPolicy(source_ip=policy.flag("source_ip"), terminal=terminal)
            ttl, path = policy.duration("ttl"), policy.text("path")
            attributes = tuple(_decode_attribute(attribute) for attribute in policy.children("attributes"))
            name = policy.text("name")
            return HashPolicy(
                cookie=name, cookie_ttl=ttl, cookie_path=path, cookie_attributes=attributes, terminal=terminal
            )


def _decode_attribute(fields: Fields) -> tuple[str, str]:
    with fields as f:
        return f.text("name"), f.text("value")


def encode_redirect(redirect: Redirect) -> Any:
    """``RedirectAction``."""
    if redirect.code not in _REDIRECT_CODES:
        raise EncodeError(f"redirect code {redirect.code} is none of 301, 302, 303, 307, 308")
    if bool(redirect.scheme) + redirect.https > 1:
        raise EncodeError("a redirect sets scheme and https")
    if bool(redirect.path) + bool(redirect.prefix_rewrite) + bool(redirect.regex_rewrite) > 1:
        raise EncodeError("a redirect sets more than one of path, prefix_rewrite, regex_rewrite")
    alternatives: dict[str, Any] = {
        "scheme_redirect": redirect.scheme,
        "https_redirect": redirect.https,
        "path_redirect": redirect.path,
        "prefix_rewrite": redirect.prefix_rewrite,
        "regex_rewrite": _encode_rewrite(redirect.regex_rewrite),
    }
    return route_pb2.RedirectAction(
        host_redirect=redirect.host,
        port_redirect=redirect.port,
        response_code=route_pb2.RedirectAction.RedirectResponseCode.Value(_REDIRECT_CODES[redirect.code]),
        strip_query=redirect.strip_query,
        **{field: value for field, value in alternatives.items() if value},
    )


def decode_redirect(fields: Fields) -> Redirect:
    """From ``RedirectAction``; port 0 and empty strings count as unset."""
    with fields as f:
        code = f.enum("response_code")
        return Redirect(
            code=next(number for number, name in _REDIRECT_CODES.items() if name == code),
            scheme=f.text("scheme_redirect"),
            https=f.flag("https_redirect"),
            host=f.text("host_redirect"),
            port=f.number("port_redirect") or None,
            path=f.text("path_redirect"),
            prefix_rewrite=f.text("prefix_rewrite"),
            regex_rewrite=_decode_rewrite(f.optional("regex_rewrite")),
            strip_query=f.flag("strip_query"),
        )


def encode_direct_response(response: DirectResponse) -> Any:
    """``DirectResponseAction``; a body that is UTF-8 is written as text, for people who read the dump."""
    message = route_pb2.DirectResponseAction(status=response.status)
    if response.body:
        message.body.CopyFrom(encode_source(response.body))
    return message


def decode_direct_response(fields: Fields) -> DirectResponse:
    """From ``DirectResponseAction``."""
    with fields as f:
        body = f.optional("body")
        return DirectResponse(f.number("status"), b"" if body is None else decode_source(body))
