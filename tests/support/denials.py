"""What logs say of those who are refused, compared."""

import re

_CONDITIONS = re.compile(r"(rbac_access_denied_matched_policy\[none])\{\S*\}")


def in_envoys_words(text: str) -> str:
    """Without the conditions that failed first, which ours tells besides."""
    return _CONDITIONS.sub(r"\1", text)
