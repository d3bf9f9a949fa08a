"""``python3 pulumi-host ENGINE_ADDRESS``: what the engine starts as ``pulumi-language-python``."""

from meshwright_pulumi_host.server import main

main()
