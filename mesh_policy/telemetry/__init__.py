"""The kind of ``telemetry.istio.io``."""
