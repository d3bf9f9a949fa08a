"""The release that a file declares, at the control plane in the cluster of a kubeconfig."""

import json
from pathlib import Path

import pulumi

from mesh_policy.releases.machine import Rollout
from stacks import control
from stacks.layers.releases import Releases

config = pulumi.Config()
declared = json.loads(Path(config.require("releases")).read_text())
plane = control.of_cluster(config.require("kubeconfig"), config.require("namespace"))
Releases(rollouts=[Rollout.model_validate(each) for each in declared], control=plane, wait_seconds=120.0)
