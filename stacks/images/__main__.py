"""``python -m stacks.images``: writes the archives of our images (``make images``)."""

import argparse
import os
import sys
from pathlib import Path

from stacks.images.build import build
from stacks.images.table import IMAGES
from stacks.machines.driver import DriverError

REPOSITORY = "meshwright"


def main() -> int:
    """Prints the path, size and digest of each."""
    parser = argparse.ArgumentParser(prog="python -m stacks.images", description="Make the images of our programs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(plan.name for plan in IMAGES)} (all)")
    parser.add_argument(
        "--wheels", type=Path, default=Path(".meshwright/wheels.tar"), help="what tools/wheelhouse made"
    )
    parser.add_argument("--output", type=Path, default=Path("dist/images"), help="directory of the archives")
    parser.add_argument("--repository", default=REPOSITORY, help="beginning of the images' names")
    arguments = parser.parse_args()
    known = {plan.name: plan for plan in IMAGES}
    if unknown := [name for name in arguments.names if name not in known]:
        parser.error(f"there is no image {unknown[0]!r}; there are {', '.join(known)}")
    if not arguments.wheels.exists():
        parser.error(f"{arguments.wheels} is not there; make it with tools/wheelhouse, or run `make images`")
    for name in arguments.names or known:
        target = arguments.output / f"{name}.tar"
        try:
            digest = build(
                known[name], arguments.wheels, target, arguments.repository, os.environ.get("DEBIAN_MIRROR", "")
            )
        except (DriverError, OSError, ValueError) as error:
            sys.stderr.write(f"image {name}: {error}\n")
            return 1
        sys.stdout.write(f"{target}  {target.stat().st_size / 1e6:.0f} MB  {digest}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
