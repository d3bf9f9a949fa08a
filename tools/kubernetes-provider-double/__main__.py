"""``python3 kubernetes-provider-double ENGINE_ADDRESS``: what the engine starts as ``pulumi-resource-kubernetes``."""

from kubernetes_provider_double.server import main

main()
