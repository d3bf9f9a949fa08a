"""Templates of paths (Envoy's ``uri_template``): ``*`` stands for one segment, ``**`` for any number of them."""

import re
from typing import Final

from mesh_proxy.routing.matchers import MatcherError, Test, full_match

_CHARACTERS: Final = r"a-zA-Z0-9\-._~%!$&'()+,;:@=*"
_LITERAL: Final = re.compile(rf"[{_CHARACTERS}]+")
"""Measured on Envoy 1.40, as is what the operators stand for."""
_ONE: Final = rf"[{_CHARACTERS}]+"
_ANY: Final = rf"[{_CHARACTERS}/]*"


def template_test(template: str) -> Test:
    """Whether a path fits. Raises :class:`~mesh_proxy.routing.matchers.MatcherError` for what Envoy refuses."""
    if not template.startswith("/"):
        raise MatcherError(f"the template {template!r} does not begin with a slash")
    parts = []
    rest = False
    segments = template[1:].split("/")
    for place, segment in enumerate(segments):
        if segment in ("*", "**") and rest:
            raise MatcherError(f"the template {template!r} has an operator after **")
        if segment == "**":
            rest = True
            parts.append(_ANY)
        elif segment == "*":
            parts.append(_ONE)
        elif (_LITERAL.fullmatch(segment) and "*" not in segment) or (not segment and place == len(segments) - 1):
            parts.append(re.escape(segment))
        else:
            raise MatcherError(f"the segment {segment!r} of the template {template!r} is neither *, nor **, nor plain")
    return full_match("/" + "/".join(parts))
