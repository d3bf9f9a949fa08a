"""Traffic policies as objects of a cluster.

``python -m stacks.policy_objects STACK`` writes them for ``kubectl apply --server-side --filename=-``.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, get_args

import yaml

from mesh_policy import Policy
from stacks.environment import Environment, InvalidEnvironmentError, parse
from stacks.environments import declaration

ROUTES = ("VirtualService", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute")
"""Kinds that refer to objects of the others: made after them, removed before them."""


def in_order(policies: Sequence[Policy]) -> list[Policy]:
    """Services' rules come before the routes that name their subsets."""
    return sorted(policies, key=lambda policy: policy.KIND in ROUTES)


def manifests(policies: Sequence[Policy]) -> list[dict[str, Any]]:
    """Each as an object, in the order in which they are applied."""
    return [policy.to_document() for policy in in_order(policies)]


def main() -> int:
    """Write the policies of a stack's environment, of one of its scenarios where one is named."""
    scenarios = get_args(Environment.model_fields["scenario"].annotation)
    parser = argparse.ArgumentParser(prog="python -m stacks.policy_objects", description=main.__doc__)
    parser.add_argument("stack", help="as stacks/environments lists them")
    parser.add_argument("--scenario", choices=scenarios, help="default: the one that the environment declares")
    arguments = parser.parse_args()
    try:
        declared = declaration(arguments.stack)
        chosen = {} if arguments.scenario is None else {"scenario": arguments.scenario}
        environment = parse(declared.ENVIRONMENT, chosen)
    except InvalidEnvironmentError as error:
        parser.error(str(error))
    yaml.safe_dump_all(manifests(declared.policies(environment)), sys.stdout, sort_keys=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
