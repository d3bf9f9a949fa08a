"""``mesh-control --config FILE``: the control plane as a process. Exit status 64: the settings cannot be used."""

import argparse
import asyncio
import gc
import logging
import sys
from pathlib import Path

USAGE_ERROR = 64


def main() -> int:
    """Read the settings, then serve."""
    # A mesh is many objects that stay, and so are the models and what compiles them: looking through all for rubbish again
    # and again would hold proxies up, and the start. So this comes before the imports.
    gc.set_threshold(50_000, 50, 50)
    from mesh_control import app, log_lines, settings
    from mesh_control.sources import inventory
    from mesh_control.sources.kubernetes.wiring import access_of

    parser = argparse.ArgumentParser(prog="mesh-control", description="The control plane of the mesh.")
    parser.add_argument("--config", type=Path, required=True, help="settings, a YAML file")
    parser.add_argument("--check", action="store_true", help="only check settings and inventory")
    arguments = parser.parse_args()
    try:
        found = settings.read(arguments.config)
        token = settings.join_token(found)
        if found.inventory is not None:
            # Without it every service would be gone, and proxies would be told so: rather keep what they have.
            inventory.read(found.inventory)
        if found.kubernetes is not None:
            access_of(found.kubernetes)
    except (settings.SettingsError, inventory.InventoryError) as error:
        sys.stderr.write(f"{error}\n")
        return USAGE_ERROR
    if arguments.check:
        return 0
    logging.basicConfig(level=found.log_level.upper(), handlers=[log_lines.handler(sys.stderr)])
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it tells every change of every file
    try:
        asyncio.run(app.run(found, token))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
