"""The environment's traffic policies as objects of a Kubernetes cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mesh_policy import Level, Policy, check
from mesh_policy.analysis.finding import subject
from stacks.layers.cluster_objects import FIELD_MANAGER, MANAGER_ANNOTATION
from stacks.policy_objects import ROUTES


class CustomResources(pulumi.ComponentResource):
    """One object of the cluster for each policy; its kinds must be known there (``mesh crds`` prints their definitions).

    Where the control plane takes a set of policies whole, a cluster takes objects one by one: services' rules come before
    the routes that name their subsets, and go after them. Raises :class:`pulumi.RunError` for policies that contradict
    each other, before the cluster is asked for anything.
    """

    def __init__(
        self,
        name: str,
        *,
        policies: Sequence[Policy],
        provider: Provider | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("meshwright:index:CustomResources", name, None, opts)
        _refuse_contradictions(policies)
        self.objects: dict[tuple[str, str, str], CustomResource] = {}
        """The cluster's objects by title of the kind, namespace and name."""
        for policy in policies:
            if policy.KIND not in ROUTES:
                self.objects[policy.key] = self._object(policy, provider, ())
        others = tuple(self.objects.values())
        for policy in policies:
            if policy.KIND in ROUTES:
                self.objects[policy.key] = self._object(policy, provider, others)
        self.register_outputs({"objects": sorted(map(subject, policies))})

    def _object(self, policy: Policy, provider: Provider | None, after: Sequence[pulumi.Resource]) -> CustomResource:
        document = policy.to_document()
        return CustomResource(
            subject(policy),
            api_version=document["apiVersion"],
            kind=document["kind"],
            metadata=_metadata(policy),
            spec=document["spec"],
            opts=pulumi.ResourceOptions(parent=self, provider=provider, depends_on=list(after)),
        )


def _metadata(policy: Policy) -> ObjectMetaArgs:
    own = policy.metadata
    return ObjectMetaArgs(
        name=own.name,
        namespace=own.namespace,
        labels=_plain(own.labels),
        annotations={**(own.annotations or {}), MANAGER_ANNOTATION: FIELD_MANAGER},
    )


def _plain(labels: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return dict(labels) if labels else None


def _refuse_contradictions(policies: Sequence[Policy]) -> None:
    """What is known of the cluster's services is the cluster's; between the policies themselves all is known here."""
    errors = [str(found) for found in check(policies) if found.level is Level.ERROR]
    if errors:
        raise pulumi.RunError("the policies contradict each other:\n" + "\n".join(errors))
