"""Listener filters and the ports on which they stay off (``listener.v3.ListenerFilter``)."""

from typing import Any, Final

from envoy.config.core.v3 import proxy_protocol_pb2 as core_pb2
from envoy.config.listener.v3 import listener_components_pb2 as components_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.original_src.v3 import original_src_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.type.v3 import range_pb2

from mesh_api.config.listeners import Listener, ListenerFilter, ListenerFilterExemption, ProxyProtocol
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import pack, unpack

ISTIO_MARK: Final = 1337
"""Mark of packets that the redirection of Istio (``TPROXY``) leaves alone."""

_MESSAGES: Final[dict[ListenerFilter, Any]] = {
    ListenerFilter.ORIGINAL_DST: original_dst_pb2.OriginalDst,
    ListenerFilter.ORIGINAL_SRC: original_src_pb2.OriginalSrc,
    ListenerFilter.TLS_INSPECTOR: tls_inspector_pb2.TlsInspector,
    ListenerFilter.HTTP_INSPECTOR: http_inspector_pb2.HttpInspector,
    ListenerFilter.PROXY_PROTOCOL: proxy_protocol_pb2.ProxyProtocol,
}


def encode_listener_filters(listener: Listener) -> list[Any]:
    """The ``listener_filters`` of a listener, each with its exemption."""
    exemptions = {exemption.filter: exemption for exemption in listener.listener_filter_exemptions}
    if len(exemptions) != len(listener.listener_filter_exemptions) or not exemptions.keys() <= set(
        listener.listener_filters
    ):
        raise EncodeError(f"listener {listener.name}: each exemption needs its own listener filter")
    return [
        components_pb2.ListenerFilter(
            name=name.value,
            typed_config=pack(_encode(name, listener.proxy_protocol)),
            filter_disabled=_encode_exemption(exemptions[name]) if name in exemptions else None,
        )
        for name in listener.listener_filters
    ]


def _encode(name: ListenerFilter, header: ProxyProtocol) -> Any:
    message = _MESSAGES[name]()
    if name is ListenerFilter.TLS_INSPECTOR:  # Istio's tuning: most first messages of TLS fit
        message.initial_read_buffer_size.value = 512
    if name is ListenerFilter.ORIGINAL_SRC:
        message.mark = ISTIO_MARK
    if name is ListenerFilter.PROXY_PROTOCOL:
        message.allow_requests_without_proxy_protocol = header.optional
        message.disallowed_versions.extend(
            core_pb2.ProxyProtocolConfig.Version.Value(version) for version in header.disallowed
        )
    return message


def _encode_exemption(exemption: ListenerFilterExemption) -> Any:
    if not exemption.ports:
        raise EncodeError("an exemption of a listener filter names no ports")
    predicate = components_pb2.ListenerFilterChainMatchPredicate
    ranges = [
        predicate(destination_port_range=range_pb2.Int32Range(start=start, end=end)) for start, end in exemption.ports
    ]
    ports = ranges[0] if len(ranges) == 1 else predicate(or_match=predicate.MatchSet(rules=ranges))
    return predicate(not_match=ports) if exemption.invert else ports


def decode_listener_filters(
    listener: Fields,
) -> tuple[tuple[ListenerFilter, ...], tuple[ListenerFilterExemption, ...], ProxyProtocol]:
    """The listener filters of a listener and their exemptions, in order, and what that of the PROXY protocol says."""
    header = ProxyProtocol()
    filters: list[ListenerFilter] = []
    exemptions: list[ListenerFilterExemption] = []
    for entry in listener.children("listener_filters"):
        with entry as f:
            f.text("name")
            message, config = unpack(f.child("typed_config"), _MESSAGES.values())
            with config:
                name = next(name for name, known in _MESSAGES.items() if known is message)
                if name is ListenerFilter.ORIGINAL_SRC and config.number("mark") != ISTIO_MARK:
                    raise config.error("mark", f"only {ISTIO_MARK} is supported")
                if name is ListenerFilter.PROXY_PROTOCOL:
                    header = _decode_header(config)
            filters.append(name)
            if (disabled := f.optional("filter_disabled")) is not None:
                exemptions.append(_decode_exemption(name, disabled))
    return tuple(filters), tuple(exemptions), header


def _decode_header(config: Fields) -> ProxyProtocol:
    disallowed = config.enums("disallowed_versions")
    if {"V1", "V2"} <= set(disallowed):
        raise config.error("disallowed_versions", "no version is left")
    return ProxyProtocol(config.flag("allow_requests_without_proxy_protocol"), disallowed)


def _decode_exemption(name: ListenerFilter, fields: Fields) -> ListenerFilterExemption:
    if fields.oneof("rule") == "not_match":
        with fields as f:
            return ListenerFilterExemption(name, _decode_ports(f.child("not_match")), invert=True)
    return ListenerFilterExemption(name, _decode_ports(fields))


def _decode_ports(fields: Fields) -> tuple[tuple[int, int], ...]:
    with fields as f:
        kind = f.oneof("rule")
        if kind == "destination_port_range":
            with f.child(kind) as bounds:
                return ((bounds.number("start"), bounds.number("end")),)
        if kind == "or_match":
            with f.child(kind) as match:
                return tuple(port for rule in match.children("rules") for port in _decode_ports(rule))
        raise f.error("", f"{kind or 'a missing rule'} is not supported")
