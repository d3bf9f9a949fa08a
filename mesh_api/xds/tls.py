"""TLS (``transport_sockets.tls.v3``) and the sockets that connections are made of (``core.v3.TransportSocket``)."""

from typing import Any, Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, config_source_pb2, grpc_service_pb2, proxy_protocol_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf import struct_pb2

from mesh_api.config.tls import (
    CertificateSource,
    CertificateValidation,
    CommonTls,
    DataSource,
    DownstreamTls,
    RawBuffer,
    SecretSource,
    TlsParameters,
    TransportSocketMatch,
    UpstreamProxyProtocol,
    UpstreamSocket,
    UpstreamTls,
)
from mesh_api.xds.fields import Fields
from mesh_api.xds.matchers import decode_string, encode_string
from mesh_api.xds.values import boolean, pack, uint32, unpack

TLS: Final = "envoy.transport_sockets.tls"
RAW_BUFFER: Final = "envoy.transport_sockets.raw_buffer"
PLAIN: Final = "raw_buffer"
"""istiod's name for plain bytes behind a header of the PROXY protocol."""
PROXY_PROTOCOL: Final = "envoy.transport_sockets.upstream_proxy_protocol"
_WRAPPED = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport
_VALIDATION = common_pb2.CertificateValidationContext
_CHAIN = _VALIDATION.TrustChainVerification


def encode_socket(socket: DownstreamTls | UpstreamSocket) -> Any:
    """``TransportSocket``."""
    if isinstance(socket, RawBuffer):
        return base_pb2.TransportSocket(name=RAW_BUFFER, typed_config=pack(raw_buffer_pb2.RawBuffer()))
    if isinstance(socket, UpstreamProxyProtocol):
        return _encode_wrapped(socket)
    if isinstance(socket, DownstreamTls):
        message = tls_pb2.DownstreamTlsContext(
            common_tls_context=_encode_common(socket.common),
            require_client_certificate=boolean(socket.require_client_certificate),
        )
    else:
        message = tls_pb2.UpstreamTlsContext(
            common_tls_context=_encode_common(socket.common),
            sni=socket.sni,
            auto_host_sni=socket.auto_host_sni,
            auto_sni_san_validation=socket.auto_sni_san_validation,
            max_session_keys=uint32(socket.max_session_keys, unless=1),
        )
    return base_pb2.TransportSocket(name=TLS, typed_config=pack(message))


def _encode_wrapped(socket: UpstreamProxyProtocol) -> Any:
    version = proxy_protocol_pb2.ProxyProtocolConfig.Version.Value(socket.version)
    config = proxy_protocol_pb2.ProxyProtocolConfig(version=version)
    inner = encode_socket(socket.socket if socket.socket is not None else RawBuffer())
    if socket.socket is None:
        inner.name = PLAIN
    message = _WRAPPED(config=config, transport_socket=inner)
    return base_pb2.TransportSocket(name=PROXY_PROTOCOL, typed_config=pack(message))


def _encode_common(common: CommonTls) -> Any:
    message = tls_pb2.CommonTlsContext(
        tls_certificate_sds_secret_configs=[_encode_secret(secret) for secret in common.certificates],
        alpn_protocols=common.alpn,
        tls_certificates=[_encode_certificate(source) for source in common.tls_certificates],
    )
    if common.parameters != TlsParameters():
        message.tls_params.CopyFrom(_encode_parameters(common.parameters))
    if common.validation is not None and common.validation.roots is not None:
        combined = message.combined_validation_context
        combined.default_validation_context.CopyFrom(_encode_validation(common.validation))
        combined.validation_context_sds_secret_config.CopyFrom(_encode_secret(common.validation.roots))
    elif common.validation is not None:
        message.validation_context.CopyFrom(_encode_validation(common.validation))
    return message


def _encode_parameters(parameters: TlsParameters) -> Any:
    message = common_pb2.TlsParameters(cipher_suites=parameters.cipher_suites, ecdh_curves=parameters.ecdh_curves)
    versions = common_pb2.TlsParameters.TlsProtocol
    if parameters.minimum_version:
        message.tls_minimum_protocol_version = versions.Value(parameters.minimum_version)
    if parameters.maximum_version:
        message.tls_maximum_protocol_version = versions.Value(parameters.maximum_version)
    return message


def _encode_validation(validation: CertificateValidation) -> Any:
    message = _VALIDATION(
        match_subject_alt_names=[encode_string(name) for name in validation.subject_alt_names],
        verify_certificate_spki=validation.spki,
        verify_certificate_hash=validation.hashes,
        trust_chain_verification=_CHAIN.Value(
            "ACCEPT_UNTRUSTED" if validation.accept_untrusted else "VERIFY_TRUST_CHAIN"
        ),
    )
    if validation.trusted_ca is not None:
        message.trusted_ca.CopyFrom(_encode_data(validation.trusted_ca))
    if validation.crl is not None:
        message.crl.CopyFrom(_encode_data(validation.crl))
    return message


def _encode_certificate(source: CertificateSource) -> Any:
    return common_pb2.TlsCertificate(certificate_chain=_encode_data(source.chain), private_key=_encode_data(source.key))


def _encode_data(source: DataSource) -> Any:
    if source.filename:
        return base_pb2.DataSource(filename=source.filename)
    return base_pb2.DataSource(inline_bytes=source.inline)


def _encode_secret(secret: SecretSource) -> Any:
    if secret.static:
        return secret_pb2.SdsSecretConfig(name=secret.name)
    source = config_source_pb2.ConfigSource(resource_api_version=config_source_pb2.ApiVersion.V3)
    if secret.cluster:
        target = grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=secret.cluster, authority=secret.authority)
        source.api_config_source.CopyFrom(
            config_source_pb2.ApiConfigSource(
                api_type=config_source_pb2.ApiConfigSource.GRPC,
                transport_api_version=config_source_pb2.ApiVersion.V3,
                set_node_on_first_message_only=True,
                grpc_services=[grpc_service_pb2.GrpcService(envoy_grpc=target)],
            )
        )
    else:
        source.ads.SetInParent()
    if secret.wait:
        source.initial_fetch_timeout.SetInParent()
    return secret_pb2.SdsSecretConfig(name=secret.name, sds_config=source)


def encode_socket_match(match: TransportSocketMatch) -> Any:
    """``Cluster.TransportSocketMatch``."""
    pairs = {key: struct_pb2.Value(string_value=value) for key, value in match.match}
    return cluster_pb2.Cluster.TransportSocketMatch(
        name=match.name, match=struct_pb2.Struct(fields=pairs), transport_socket=encode_socket(match.socket)
    )


def decode_downstream(fields: Fields | None) -> DownstreamTls | None:
    """From the ``TransportSocket`` of a filter chain; plain bytes are ``None``."""
    if fields is None:
        return None
    with fields as f:
        f.text("name")
        message, config = unpack(f.child("typed_config"), (tls_pb2.DownstreamTlsContext, raw_buffer_pb2.RawBuffer))
        with config as c:
            if message is raw_buffer_pb2.RawBuffer:
                return None
            return DownstreamTls(_decode_common(c.child("common_tls_context")), c.wrapped("require_client_certificate"))


def decode_upstream(fields: Fields | None) -> UpstreamSocket | None:
    """From the ``TransportSocket`` of a cluster."""
    return None if fields is None else _decode_upstream(fields)


def _decode_upstream(fields: Fields) -> UpstreamSocket:
    with fields as f:
        f.text("name")
        kinds = tls_pb2.UpstreamTlsContext, raw_buffer_pb2.RawBuffer, _WRAPPED
        message, config = unpack(f.child("typed_config"), kinds)
        with config as c:
            if message is raw_buffer_pb2.RawBuffer:
                return RawBuffer()
            if message is _WRAPPED:
                return _decode_wrapped(c)
            return UpstreamTls(
                _decode_common(c.child("common_tls_context")),
                sni=c.text("sni"),
                auto_host_sni=c.flag("auto_host_sni"),
                auto_sni_san_validation=c.flag("auto_sni_san_validation"),
                max_session_keys=c.wrapped_number("max_session_keys", 1),
            )


def _decode_wrapped(fields: Fields) -> UpstreamProxyProtocol:
    with fields.child("config") as config:
        version = config.enum("version")
    inner = fields.child("transport_socket")
    name = inner.text("name")
    socket = _decode_upstream(inner)
    if isinstance(socket, UpstreamProxyProtocol):
        raise fields.error("transport_socket", "a header within a header is not supported")
    return UpstreamProxyProtocol(version, None if name == PLAIN and socket == RawBuffer() else socket)


def decode_socket_match(fields: Fields) -> TransportSocketMatch:
    """From ``Cluster.TransportSocketMatch``."""
    with fields as f:
        pairs = f.take("match").fields
        for key in pairs:
            if pairs[key].WhichOneof("kind") != "string_value":
                raise f.error(f'match["{key}"]', "only strings are supported")
        match = tuple((key, str(pairs[key].string_value)) for key in sorted(pairs))
        return TransportSocketMatch(f.text("name"), match, _decode_upstream(f.child("transport_socket")))


def _decode_common(fields: Fields) -> CommonTls:
    with fields as f:
        kind, validation = f.oneof("validation_context_type"), None
        if kind == "combined_validation_context":
            with f.child(kind) as combined:
                roots = _decode_secret(combined.child("validation_context_sds_secret_config"))
                validation = _decode_validation(combined.child("default_validation_context"), roots)
        elif kind == "validation_context":
            validation = _decode_validation(f.child(kind), None)
        elif kind == "validation_context_sds_secret_config":
            validation = CertificateValidation(_decode_secret(f.child(kind)))
        return CommonTls(
            tuple(_decode_secret(secret) for secret in f.children("tls_certificate_sds_secret_configs")),
            validation,
            f.texts("alpn_protocols"),
            _decode_parameters(f.child("tls_params")),
            tuple(_decode_certificate(source) for source in f.children("tls_certificates")),
        )


def _decode_certificate(fields: Fields) -> CertificateSource:
    with fields as f:
        for name in ("certificate_chain", "private_key"):
            if not f.has(name):
                raise f.error(name, "is missing")
        return CertificateSource(_decode_data(f.child("certificate_chain")), _decode_data(f.child("private_key")))


def _decode_parameters(fields: Fields) -> TlsParameters:
    with fields as f:
        versions = [f.enum(f"tls_{bound}_protocol_version") for bound in ("minimum", "maximum")]
        least, most = ("" if version == "TLS_AUTO" else version for version in versions)
        return TlsParameters(least, most, f.texts("cipher_suites"), f.texts("ecdh_curves"))


def _decode_validation(fields: Fields, roots: SecretSource | None) -> CertificateValidation:
    with fields as f:
        return CertificateValidation(
            roots,
            _optional_data(f.optional("trusted_ca")),
            tuple(decode_string(name) for name in f.children("match_subject_alt_names")),
            f.texts("verify_certificate_spki"),
            f.texts("verify_certificate_hash"),
            _optional_data(f.optional("crl")),
            f.enum("trust_chain_verification") == "ACCEPT_UNTRUSTED",
        )


def _optional_data(fields: Fields | None) -> DataSource | None:
    return None if fields is None else _decode_data(fields)


def _decode_data(fields: Fields) -> DataSource:
    """A file's name must not be empty, and what stands inline is never the empty file."""
    with fields as f:
        kind = f.oneof("specifier")
        if kind == "inline_string":
            found = DataSource(inline=f.text(kind).encode())
        elif kind == "inline_bytes":
            found = DataSource(inline=bytes(f.take(kind)))
        elif kind == "filename":
            found = DataSource(f.text(kind))
        else:
            raise f.error(
                "", f"{kind or 'a missing source'} is not supported: use filename, inline_bytes or inline_string"
            )
        if found == DataSource():
            raise f.error(kind, "is empty")
        return found


def _decode_secret(fields: Fields) -> SecretSource:
    if not fields.has("sds_config"):
        with fields as f:
            return SecretSource(f.text("name"), static=True)
    with fields as f, f.child("sds_config") as source:
        wait = source.duration("initial_fetch_timeout") == 0
        kind = source.oneof("config_source_specifier")
        if kind == "ads":
            source.nothing_in(kind)
            return SecretSource(f.text("name"), wait=wait)
        if kind != "api_config_source":
            raise source.error("", f"{kind or 'a missing source'} is not supported")
        cluster, authority = _decode_server(source.child(kind))
        return SecretSource(f.text("name"), cluster, authority, wait)


def _decode_server(fields: Fields) -> tuple[str, str]:
    with fields as f:
        f.enum("api_type", "GRPC")
        f.enum("transport_api_version", "V3")
        f.flag("set_node_on_first_message_only")
        servers = list(f.children("grpc_services"))
        if len(servers) != 1:
            raise f.error("grpc_services", "one server is supported")
        with servers[0] as server, server.child("envoy_grpc") as target:
            return target.text("cluster_name"), target.text("authority")
