"""``python3 dynamic_provider.py ENGINE_ADDRESS``: what the engine starts as ``pulumi-resource-pulumi-python``.

It is ``python -m pulumi.dynamic``, which also puts the program's directory on the path, and ends with its engine.
"""

import os
import runpy
import sys

from meshwright_pulumi_host.engine import end_with_engine

end_with_engine()
sys.path[0] = os.getcwd()
runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)
