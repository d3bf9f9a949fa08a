"""The real Envoy, as the integration tests find it."""

from tests.integration.conftest import envoy

__all__ = ["envoy"]
