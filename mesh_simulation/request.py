"""A request as somebody describes it, and as the bytes that a proxy reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mesh_proxy.protocol.http1 import BadMessage, Head, Parser

DEFAULT_PORTS = {"http": 80, "https": 443, "tcp": 80}
_BREAKS = frozenset("\r\n\0")
OUTSIDE = "outside"
"""The source of requests that come from outside of the mesh, to a gateway or to a workload, without a proxy of their own."""


class RequestError(ValueError):
    """A request that cannot be made; the message names the field and the mend."""


class _Url(NamedTuple):
    scheme: str
    host: str
    port: int
    target: str
    authority: str


@lru_cache(maxsize=1024)
def _parts(url: str) -> _Url:
    try:
        parts = urlsplit(url)
        scheme, port = parts.scheme or "http", parts.port
    except ValueError as error:
        raise RequestError(f"url {url!r}: {error}") from None
    if scheme not in DEFAULT_PORTS:
        raise RequestError(f"url {url!r}: the scheme {scheme} is none of {', '.join(DEFAULT_PORTS)}")
    number = port or DEFAULT_PORTS[scheme]
    return _Url(scheme, parts.hostname or "", number, _target(url), parts.netloc.rpartition("@")[2])


def _target(url: str) -> str:
    """What is asked for, as it stands: a fragment is a client's own and sent by none, and proxies refuse one that is."""
    if url.startswith("/") and not url.startswith("//"):
        return url
    rest = url.partition("//")[2]
    begin = next((place for place, mark in enumerate(rest) if mark in "/?#"), len(rest))
    target = rest[begin:]
    return target if target.startswith("/") else f"/{target}"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to ask a mesh about.

    ``source`` is who sends it: a workload (``NAME.NAMESPACE``; without a namespace that of the mesh's default; a Deployment's
    or a service's name stands for its workloads), the labels of one, or ``outside``. ``url`` is
    ``http://HOST[:PORT]/PATH[?QUERY]``; the port is 80 unless it says another one. ``headers`` are further fields;
    ``host`` among them replaces the URL's as the ``Host`` of the request. ``via`` names a gateway (``NAMESPACE/NAME`` of the
    ``Gateway``, or its name) through which the request enters; what then sends it on is that gateway's proxy.

    ``principal`` is the identity in the client's certificate (``spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT``, or without
    the scheme): unset it is that of the source where it has a proxy and talks mTLS; empty: no certificate, plain text.
    ``claims`` are those of a JSON web token whose signature is taken for good; unset there is no token beside what the
    headers say. ``source_ip`` is the address that the request comes from: unset the source's own. ``source_namespace`` goes
    with a source that is labels. ``protocol`` is ``http`` or ``tcp`` (a connection, of which only the place
    counts).
    """

    source: str | Mapping[str, str] = field(default=OUTSIDE, hash=False)  # what is no mapping tells enough apart
    url: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    via: str = ""
    principal: str | None = None
    claims: Mapping[str, Any] | None = field(default=None, hash=False)
    source_ip: str = ""
    source_namespace: str = ""
    protocol: str = "http"

    @property
    def scheme(self) -> str:
        """``http``, ``https`` or ``tcp``."""
        return _parts(self.url).scheme

    @property
    def host(self) -> str:
        """The host of the URL, without its port, in lower case."""
        return _parts(self.url).host

    @property
    def port(self) -> int:
        """The port that is dialled. Raises :class:`RequestError`."""
        return _parts(self.url).port

    @property
    def target(self) -> str:
        """Path and query, as they stand."""
        return _parts(self.url).target

    @property
    def authority(self) -> str:
        """The ``Host`` of the request: as the headers say, else the URL's, with its port when that stands there."""
        given = next((value for name, value in self.headers.items() if name.lower() in ("host", ":authority")), None)
        return given if given is not None else _parts(self.url).authority

    def head(self, parser: Parser) -> Head:
        """The request's head as a proxy's own parser reads it. Raises :class:`RequestError` for what it refuses."""
        given = (self.method, self.target, self.authority, *self.headers, *self.headers.values())
        broken = next((text for text in given if not _BREAKS.isdisjoint(text)), None)
        if broken is not None:
            raise RequestError(f"{self.method} {self.url}: {broken!r} has a line break; remove it")
        lines = [f"{self.method} {self.target} HTTP/1.1", f"host: {self.authority}"]
        lines += [
            f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in ("host", ":authority")
        ]
        try:
            return parser.request("\r\n".join(lines).encode("latin-1"))
        except UnicodeEncodeError as error:
            wrong = error.object[error.start : error.end]
            raise RequestError(f"{self.method} {self.url}: {wrong!r} cannot be sent; write it in %XX") from None
        except BadMessage as error:
            raise RequestError(
                f"{self.method} {self.url}: no request of HTTP/1.1: {error}; a proxy answers 400"
            ) from None

    def __str__(self) -> str:
        source = self.source if isinstance(self.source, str) else "{" + _pairs(self.source) + "}"
        fields = "".join(f" -H '{name}: {value}'" for name, value in self.headers.items())
        via = f" via {self.via}" if self.via else ""
        who = f" as {self.principal or 'nobody'}" if self.principal is not None else ""
        claims = f" claims {_pairs(self.claims)}" if self.claims is not None else ""
        return f"{self.method} {self.url}{fields} from {source}{via}{who}{claims}"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
