"""Which images there are."""

from dataclasses import dataclass

USER = 65532
"""Nobody's id but theirs, which other images without root have taken as well."""


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """An image of one of our programs. ``requirements`` are in pip's notation and come from the archive of wheels; ``module``
    is run; ``ports`` are those that it serves; ``state`` is a directory of its own, which a volume is mounted on."""

    name: str
    requirements: tuple[str, ...]
    module: str
    ports: tuple[int, ...]
    state: str


IMAGES: tuple[ImagePlan, ...] = (
    ImagePlan("control", ("meshwright[control]",), "mesh_control", (15010, 15012, 15014, 15017), "var/lib/meshwright"),
    ImagePlan("proxy", ("meshwright",), "mesh_proxy", (15001, 15006, 15020, 15021, 15090), "var/lib/meshwright"),
)
