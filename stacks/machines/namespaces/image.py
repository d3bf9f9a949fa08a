"""The disk that all machines share below their own: a small Debian, made once and cached by its recipe."""

import re
from pathlib import Path

from stacks.machines import image
from stacks.machines.driver import MachineSpec


def recipe(spec: MachineSpec) -> image.Recipe:
    """What the machine's image is made of."""
    return image.Recipe(spec.suite, image.mirror(spec), image.PACKAGES, image.hooks(spec.user))


def ensure(spec: MachineSpec) -> Path:
    """The image's tree, made when it is missing. Raises :class:`DriverError`."""
    return image.ensure(recipe(spec))


def apt_hosts(tree: Path) -> set[str]:
    """The hosts that the image's apt asks."""
    files = [tree / "etc/apt/sources.list", *(tree / "etc/apt/sources.list.d").glob("*")]
    text = "\n".join(file.read_text() for file in files if file.is_file())
    return set(re.findall(r"https?://([^/\s:]+)", text))
