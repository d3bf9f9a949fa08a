"""Container images, one archive each (OCI image layout), and the programs of a cluster's nodes.

Those of our own programs are Debian's Python and our wheels; those of a Kubernetes cluster are programs built from Go
modules, with packages of Debian where they need some. Nobody's shell is in any. The same packages, wheels and modules make
the same bytes.
"""

from stacks.images.archive import Layer, Settings, write
from stacks.images.build import build
from stacks.images.table import ADDONS, CLUSTER, KUBERNETES, MESH, PREVIOUS, WORKLOADS, ClusterImage, ImagePlan

__all__ = [
    "ADDONS",
    "CLUSTER",
    "KUBERNETES",
    "MESH",
    "PREVIOUS",
    "WORKLOADS",
    "ClusterImage",
    "ImagePlan",
    "Layer",
    "Settings",
    "build",
    "write",
]
