"""The objects that a file lists, in the cluster of a kubeconfig; ``group``: those of a YAML file, by ``yaml/v2``."""

import json
from pathlib import Path

import pulumi

from stacks.layers.cluster_objects import ClusterObjects, provider

config = pulumi.Config()
cluster = provider(config.require("kubeconfig"), force=config.get_bool("force") is not False)
ClusterObjects("objects", manifests=json.loads(Path(config.require("manifests")).read_text()), provider=cluster)
if group := config.get("group"):
    from pulumi_kubernetes.yaml.v2 import ConfigGroup

    ConfigGroup("group", files=[group], opts=pulumi.ResourceOptions(provider=cluster))
