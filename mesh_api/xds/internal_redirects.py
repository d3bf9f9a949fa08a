"""Redirects that a proxy follows by itself (``route.v3.InternalRedirectPolicy``)."""

from typing import Any, Final

from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_components_pb2 as route_pb2
from envoy.extensions.internal_redirect.allow_listed_routes.v3 import allow_listed_routes_config_pb2 as allowed_pb2
from envoy.extensions.internal_redirect.previous_routes.v3 import previous_routes_config_pb2 as previous_pb2
from envoy.extensions.internal_redirect.safe_cross_scheme.v3 import safe_cross_scheme_config_pb2 as safe_pb2

from mesh_api.config.routes import InternalRedirects
from mesh_api.xds.errors import EncodeError
from mesh_api.xds.fields import Fields
from mesh_api.xds.values import pack, uint32, unpack

_PREFIX: Final = "envoy.internal_redirect_predicates."
_CODES: Final = (301, 302, 303, 307, 308)
_MOST, _USUAL_CODES = 1, (302,)
"""Envoy's defaults."""


def encode_redirects(redirects: InternalRedirects | None) -> Any:
    """``InternalRedirectPolicy``."""
    if redirects is None:
        return None
    if set(redirects.codes) - set(_CODES):
        raise EncodeError(f"codes of internal redirects are none of {', '.join(map(str, _CODES))}")
    predicates = []
    if redirects.previous_routes:
        predicates.append(_predicate("previous_routes", previous_pb2.PreviousRoutesConfig()))
    if redirects.allowed_routes is not None:
        allowed = allowed_pb2.AllowListedRoutesConfig(allowed_route_names=redirects.allowed_routes)
        predicates.append(_predicate("allow_listed_routes", allowed))
    if redirects.safe_cross_scheme:
        predicates.append(_predicate("safe_cross_scheme", safe_pb2.SafeCrossSchemeConfig()))
    return route_pb2.InternalRedirectPolicy(
        max_internal_redirects=uint32(redirects.most, unless=_MOST),
        redirect_response_codes=() if redirects.codes == _USUAL_CODES else redirects.codes,
        predicates=predicates,
        allow_cross_scheme_redirect=redirects.cross_scheme,
        response_headers_to_copy=redirects.copied_headers,
    )


def _predicate(name: str, message: Any) -> Any:
    return extension_pb2.TypedExtensionConfig(name=_PREFIX + name, typed_config=pack(message))


def decode_redirects(fields: Fields | None) -> InternalRedirects | None:
    """From ``InternalRedirectPolicy``."""
    if fields is None:
        return None
    with fields as f:
        found: dict[str, Any] = {}
        for predicate in f.children("predicates"):
            with predicate as p:
                p.text("name")
                found |= _decode_predicate(p)
        return InternalRedirects(
            most=f.wrapped_number("max_internal_redirects", _MOST),
            # Others than these Envoy leaves out by itself.
            codes=tuple(code for code in f.take("redirect_response_codes") if code in _CODES) or _USUAL_CODES,
            cross_scheme=f.flag("allow_cross_scheme_redirect"),
            copied_headers=f.texts("response_headers_to_copy"),
            **found,
        )


def _decode_predicate(fields: Fields) -> dict[str, Any]:
    kinds = (previous_pb2.PreviousRoutesConfig, allowed_pb2.AllowListedRoutesConfig, safe_pb2.SafeCrossSchemeConfig)
    kind, config = unpack(fields.child("typed_config"), kinds)
    with config as c:
        if kind is previous_pb2.PreviousRoutesConfig:
            return {"previous_routes": True}
        if kind is safe_pb2.SafeCrossSchemeConfig:
            return {"safe_cross_scheme": True}
        return {"allowed_routes": c.texts("allowed_route_names")}
