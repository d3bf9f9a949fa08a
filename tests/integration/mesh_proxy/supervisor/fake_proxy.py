"""``mesh-proxy --bootstrap FILE`` with workers that move no traffic."""

import sys
from pathlib import Path

from mesh_proxy.bootstrap import load_bootstrap
from mesh_proxy.supervisor.app import run

if __name__ == "__main__":
    worker = str(Path(__file__).with_name("fake_worker.py"))
    sys.exit(run(load_bootstrap(Path(sys.argv[2])), (sys.executable, worker)))
