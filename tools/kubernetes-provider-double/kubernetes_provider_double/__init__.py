"""A test double of pulumi-kubernetes' provider, for places that cannot download the real one.

It speaks ``pulumirpc.ResourceProvider`` to Pulumi's engine and server-side apply to an API server. What it knows of the real
provider's behaviour is that of 4.34 (https://github.com/pulumi/pulumi-kubernetes); what it does not know it refuses by name.
docs/pulumi-kubernetes.md has its limits. It is installed by ``tools/kubernetes-plugin double`` and by nothing else.
"""
