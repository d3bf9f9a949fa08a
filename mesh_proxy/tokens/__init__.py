"""Tokens of end users (RFC 7519): where they are, what they say, who signed them, and which a request must have.

As Envoy's ``envoy.filters.http.jwt_authn`` decides, to the word of every refusal; where ours is stricter, the cases of
``tests/parity/cases/jwt`` say so with the reason.
"""
