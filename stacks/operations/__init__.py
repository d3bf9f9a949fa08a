"""What operators do with a cluster, one playbook for each verb: looked at first, told before it is done, and followed.

``python -m stacks.operations VERB`` (``mesh cluster VERB``).
"""

from stacks.operations.verbs import VERBS, Verb

__all__ = ["VERBS", "Verb"]
