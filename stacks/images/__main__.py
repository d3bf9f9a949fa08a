"""``python -m stacks.images``: writes archives of images, and the programs of nodes (``make images``)."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from stacks.images import cluster
from stacks.images.build import build, recipe, reference
from stacks.images.index import Image, Index, digest_of
from stacks.images.programs import PREVIOUS_SERIES
from stacks.images.selection import GROUPS, NAMES, NODES, PREVIOUS_NODES, UnknownNameError, select
from stacks.images.table import CLUSTER, MESH, PREVIOUS, WORKLOADS
from stacks.machines.driver import DriverError
from stacks.machines.system import locked
from stacks.providers import progress

REPOSITORY = "docker.io/meshwright"
"""With the registry, which the kubelet adds to names without one."""
_NODES = {NODES: "", PREVIOUS_NODES: PREVIOUS_SERIES}
_WHEELHOUSE = Path(__file__).resolve().parents[2] / "tools" / "wheelhouse"
_OURS = {plan.name: plan for plan in (*MESH, *WORKLOADS)}
_CLUSTER = {plan.name: plan for plan in (*CLUSTER, *PREVIOUS)}


def main() -> int:
    """Prints the path, size and digest of each image, and the path and version of each program."""
    parser = _parser()
    arguments = parser.parse_args()
    try:
        names = select(arguments.names)
    except UnknownNameError as error:
        parser.error(str(error))
    if arguments.wheels is not None and not arguments.wheels.exists():
        parser.error(f"{arguments.wheels} is not there; make it with tools/wheelhouse, or leave --wheels out")
    with locked(arguments.output):
        maker = _Maker(arguments)
        for name in names:
            try:
                for line in maker.make(name):
                    sys.stdout.write(f"{line}\n")
                    sys.stdout.flush()
            except (DriverError, OSError, ValueError) as error:
                sys.stderr.write(f"{'programs of nodes' if name in _NODES else f'image {name}'}: {error}\n")
                return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    groups = "; ".join(f"{group} is {', '.join(names)}" for group, names in GROUPS.items())
    parser = argparse.ArgumentParser(
        prog="python -m stacks.images",
        description="Make the images of our programs and of a Kubernetes cluster, and the programs of its nodes.",
        epilog=f"Groups: {groups}. {NODES} are the programs of nodes: kubeadm, kubelet, kubectl and CNI plugins.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"of {', '.join(NAMES)}, or a group (default: all but those of the minor version before)",
    )
    parser.add_argument("--wheels", type=Path, help="archive of our wheels (default: what tools/wheelhouse makes now)")
    parser.add_argument("--output", type=Path, default=Path("dist/images"), help="directory of archives and index.json")
    parser.add_argument(
        "--programs", type=Path, default=Path("dist/kubernetes"), help="directory of the programs of nodes"
    )
    parser.add_argument("--repository", default=REPOSITORY, help="beginning of the names of our programs' images")
    return parser


class _Maker:
    """Makes one after the other, and notes each in the index as soon as it is there."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._index = Index(arguments.output / "index.json")
        self._mirror = os.environ.get("DEBIAN_MIRROR", "")

    def make(self, name: str) -> Iterator[str]:
        """What was made, a line for each. Raises :class:`DriverError`."""
        if name in _NODES:
            placed = cluster.place_programs(self._arguments.programs, _NODES[name])
            self._index.add(programs=placed)
            for program in placed:
                yield f"{program.file}  {program.file.stat().st_size / 1e6:.0f} MB  {program.version}"
            return
        target = self._arguments.output / f"{name}.tar"
        if name in _CLUSTER:
            image = cluster.make_image(_CLUSTER[name], target, self._index, self._mirror)
        else:
            image = self._ours(name, target)
        self._index.add(image)
        yield f"{target}  {target.stat().st_size / 1e6:.0f} MB  {image.digest}"

    def _ours(self, name: str, target: Path) -> Image:
        plan, repository = _OURS[name], self._arguments.repository
        wanted, called = recipe(plan, self._wheels, self._mirror), reference(plan, repository)
        known = self._index.image(name)
        if known is not None and (known.recipe, known.reference, known.sha256) == (wanted, called, digest_of(target)):
            return known
        digest = build(plan, self._wheels, target, repository, self._mirror)
        return Image(name, called, digest, target, digest_of(target), wanted)

    @cached_property
    def _wheels(self) -> Path:
        """The archive of wheels: images of others need none, and to compile ours takes minutes."""
        if self._arguments.wheels is not None:
            return Path(self._arguments.wheels)
        say = progress.speaker("wheels")
        say("are made by tools/wheelhouse")
        done = subprocess.run([_WHEELHOUSE], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise DriverError("tools/wheelhouse has failed")
        say("are made")
        return Path(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
