"""Container images of our own programs: Debian's Python and our wheels, nobody's shell, one archive each (OCI image layout).

The same packages and wheels make the same bytes.
"""

from stacks.images.archive import Layer, Settings, write
from stacks.images.build import build
from stacks.images.table import IMAGES, ImagePlan

__all__ = ["IMAGES", "ImagePlan", "Layer", "Settings", "build", "write"]
