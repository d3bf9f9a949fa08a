"""From a plan of an image of a cluster to its archive, and the programs of nodes to their place."""

import hashlib
import tempfile
from pathlib import Path

from stacks.images import debian, trees
from stacks.images.archive import Layer, Settings, write
from stacks.images.index import Image, Index, NodeProgram, digest_of
from stacks.images.programs import PROGRAMS, Program
from stacks.images.table import ClusterImage
from stacks.providers import progress

_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"
"""Whoever runs these images names programs without their directory (kubeadm: ``etcd``, ``kube-apiserver``)."""


def make_image(plan: ClusterImage, target: Path, index: Index, mirror: str = "") -> Image:
    """Writes the archive of an image, unless it is there already and the index says that it is made of the same.

    ``mirror``: where Debian's packages come from. Raises :class:`DriverError`.
    """
    recipe = _recipe(plan, mirror)
    known = index.image(plan.name)
    if known is not None and known.recipe == recipe and known.sha256 == digest_of(target):
        return known
    packages = [debian.ensure(trees.TREES[plan.packages], mirror)] if plan.packages else []
    for name in plan.programs:
        trees.program(name)
    say = progress.speaker(f"image {plan.name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside the cache where it can be: programs are then linked rather than copied.
    with tempfile.TemporaryDirectory(prefix=".image-", dir=trees.place_of(plan.programs[0]).parent) as scratch:
        tree = Path(scratch)
        tree.chmod(0o755)
        trees.fill(plan, tree)
        low_ports = [str(Path(plan.directory, name)) for name in plan.programs] if plan.low_ports else []
        layers = [*map(Layer, packages), Layer(tree, low_ports=low_ports)]
        digest = write(target, plan.reference, layers, _settings(plan))
    say(f"is written ({target.stat().st_size / 1e6:.0f} MB)")
    return Image(plan.name, plan.reference, digest, target, digest_of(target), recipe)


def place_programs(directory: Path, series: str = "") -> list[NodeProgram]:
    """Puts the programs of nodes below a directory: ``bin`` and ``cni``, and their licences in ``licences``; those of another
    minor version into a folder of its name."""
    placed = []
    for program in PROGRAMS:
        if program.place == "image" or program.series != series:
            continue
        built = trees.program(program.key)
        target = _target(program, directory / series)
        _place(built.program, target)
        _place(built.licences, directory / series / "licences" / program.name)
        placed.append(NodeProgram(program.key, program.version, program.place, target, digest_of(target)))
    return placed


def _target(program: Program, directory: Path) -> Path:
    return directory / ("cni" if program.place == "cni" else "bin") / program.name


def _place(source: Path, target: Path) -> None:
    """A copy, unless there is one: who runs the one in place keeps it."""
    if target.exists() and digest_of(target) == digest_of(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_name(f".{target.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.write_bytes(source.read_bytes())
    fresh.chmod(source.stat().st_mode & 0o755)
    fresh.replace(target)


def _settings(plan: ClusterImage) -> Settings:
    _name, _colon, version = plan.reference.rpartition(":")
    return Settings(
        entrypoint=(str(Path("/", plan.directory, plan.programs[0])),),
        user=plan.user,
        environment={"PATH": _PATH, "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
        if plan.packages == "authorities"
        else {"PATH": _PATH},
        ports=plan.ports,
        labels={"org.opencontainers.image.version": version, "org.opencontainers.image.title": plan.name},
    )


def _recipe(plan: ClusterImage, mirror: str) -> str:
    """Changes when anything does that the archive is made of, the modules of this package among it."""
    recipe = hashlib.sha256(repr((plan, _settings(plan))).encode())
    for name in plan.programs:
        recipe.update("/".join(trees.place_of(name).parts[-2:]).encode())
    if plan.packages:
        recipe.update(debian.kept(trees.TREES[plan.packages], mirror).name.encode())
    for module in sorted(Path(__file__).parent.glob("*.py")):
        recipe.update(module.read_bytes())
    return recipe.hexdigest()
