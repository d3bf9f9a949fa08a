"""Three drawers in a row and a secret."""

import pulumi
from drawer import Drawer

config = pulumi.Config()
directory = config.require("directory")
if config.get_bool("broken"):
    raise ValueError("the program is broken on purpose")
first = Drawer("first", f"{directory}/first", config.require_secret("password"))
second = Drawer(
    "second", f"{directory}/second", "plain", gate=config.get("gate"), opts=pulumi.ResourceOptions(depends_on=[first])
)
Drawer("third", f"{directory}/third", "plain", opts=pulumi.ResourceOptions(depends_on=[second]))
pulumi.export("password", config.require_secret("password"))
pulumi.export("second", second.path)
