"""TLS sessions that connections to hosts take up again, so that neither end proves anew what it has proven (RFC 8446 2.2)."""

import ssl
from typing import Any, Final

_LONGEST: Final = 3600.0
"""Seconds for which a session is taken up. The other end's certificate is not looked at again in that time, and so it is
never longer than that is valid."""
_MOST: Final = 1024


class Sessions:
    """Those of one setting of TLS with its secrets, one for each place: an address and the name that is asked for there.

    Times are wall time, in seconds.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, tuple[Any, float, float]] = {}

    def of(self, place: str, now: float) -> Any:
        """The session for a new connection; ``None``: there is none."""
        found = self._known.get(place)
        if found is None:
            return None
        session, _, until = found
        if now >= until:
            del self._known[place]
            return None
        return session

    def wanted(self, place: str, now: float, resumed: bool) -> bool:
        """Whether a connection that stands is asked for its session: there is none, what there was is not taken any more,
        or is half over."""
        found = self._known.get(place)
        return found is None or not resumed or now >= found[1]

    def keep(self, place: str, session: Any, now: float, expires: float) -> None:
        """The session of a connection (``ssl.SSLSession``), whose other end's certificate ``expires`` (0: it does not)."""
        if not isinstance(session, ssl.SSLSession) or not session.has_ticket:
            return
        until = now + min(_LONGEST, float(session.timeout))
        if expires:
            until = min(until, expires)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[place] = session, now + (until - now) / 2.0, until
