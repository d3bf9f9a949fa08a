"""Istio's defaults that are asked for where no mesh configuration is: this module imports nothing."""

ROOT_NAMESPACE = "istio-system"
"""Where policies for the whole mesh stand when nothing else is set."""
TRUST_DOMAIN = "cluster.local"
"""The trust domain when nothing else is set."""
