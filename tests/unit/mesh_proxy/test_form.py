"""The proxy that is tested is the one that is meant: the checkout's, or the compiled one (``MESHWRIGHT_FORM=compiled``)."""

import os
import subprocess
import sys
from pathlib import Path

import mesh_proxy.worker.loop

WANTED = {"compiled": ".so", "": ".py"}[os.environ.get("MESHWRIGHT_FORM", "")]


def test_the_modules_of_this_process_are_of_the_form_that_is_tested() -> None:
    assert Path(mesh_proxy.worker.loop.__file__).suffix == WANTED


def test_those_of_the_processes_that_it_starts_are_as_well() -> None:
    look = "import mesh_proxy.worker.loop as loop; print(loop.__file__)"
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).suffix == WANTED
