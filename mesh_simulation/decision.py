"""What becomes of a request: every step with the policy that decided it, and short questions for assertions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mesh_simulation.request import Request


@dataclass(frozen=True, slots=True)
class Message:
    """A request's head as somebody receives it. ``headers`` are lower-case names and values in their order."""

    method: str
    host: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: str) -> str | None:
        """The value of a header, several joined by commas; ``None`` when there is none."""
        found = [value for key, value in self.headers if key == name.lower()]
        return ",".join(found) if found else None


@dataclass(frozen=True, slots=True)
class RouteTaken:
    """The route. ``policy`` is ``NAMESPACE/NAME`` of the VirtualService; empty where none rules the host.

    ``rule`` and ``match`` are the indexes in its ``http`` and in that rule's ``match`` (``None``: it has none); ``place`` is
    ``FILE:LINE`` of it, where the mesh was read from files.
    """

    name: str
    virtual_host: str
    policy: str = ""
    rule: int | None = None
    match: int | None = None
    place: str = ""

    def __str__(self) -> str:
        if not self.policy:
            return f"{self.name or 'unnamed'} of {self.virtual_host}"
        match = "" if self.match is None else f".match[{self.match}]"
        named = f" ({self.name})" if self.name else ""
        return f"VirtualService {self.policy} http[{self.rule}]{match}{named}" + (
            f", {self.place}" if self.place else ""
        )


class RouteWritten(RouteTaken):
    """A route whose place is looked for when somebody asks: for most of ten thousand requests nobody does."""

    __slots__ = ("_find", "_place")
    _find: Callable[[], str]
    _place: str

    @classmethod
    def found(cls, taken: RouteTaken, find: Callable[[], str]) -> "RouteWritten":
        """The same route, with the place that ``find`` gives."""
        made = cls(taken.name, taken.virtual_host, taken.policy, taken.rule, taken.match)
        object.__setattr__(made, "_find", find)
        return made

    @property
    def place(self) -> str:
        """``FILE:LINE``."""
        find = getattr(self, "_find", None)
        if find is not None and not self._place:
            object.__setattr__(self, "_place", find())
        return self._place

    @place.setter
    def place(self, value: str) -> None:
        object.__setattr__(self, "_place", value)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the authorization of a workload says. ``policy`` is ``NAMESPACE/NAME``, ``rule`` the index of the rule that held
    (``None``: none did); ``reason`` is why, with the first clause that failed; ``place`` is ``FILE:LINE``."""

    allowed: bool
    policy: str = ""
    rule: int | None = None
    reason: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Inbound:
    """What the proxies of some like workloads do. ``share`` is their part of the destination's traffic, in percent.

    ``transport`` is ``mTLS``, ``TLS`` or ``plain text``; ``mode`` the effective mode of PeerAuthentication and
    ``mode_from`` what set it. ``authentication`` tells what became of the token. ``request`` is what the application reads
    (``None``: it gets nothing).
    """

    workloads: tuple[str, ...]
    share: float
    sidecar: bool
    transport: str
    mode: str
    mode_from: str
    status: int
    flags: str
    details: str
    principal: str = ""
    authentication: str = ""
    authorization: Verdict | None = None
    request: Message | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """One of the clusters that the request may go to. ``weight`` is its share in percent."""

    cluster: str
    weight: float
    status: int
    flags: str
    details: str
    host: str = ""
    port: int | None = None
    subset: str = ""
    endpoints: tuple[str, ...] = ()
    request: Message | None = None
    inbound: tuple[Inbound, ...] = ()

    def __str__(self) -> str:
        return self.cluster


@dataclass(frozen=True, slots=True)
class Retries:
    """Up to ``attempts`` further tries ``on`` these conditions; ``per_try`` in seconds, ``None``: no limit."""

    attempts: int
    on: tuple[str, ...]
    per_try: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What is put in on purpose; shares in percent, the delay in seconds."""

    delay: float | None = None
    delay_share: float = 0.0
    abort: str = ""
    abort_share: float = 0.0


@dataclass(frozen=True, repr=False)
class Decision:
    """What becomes of a request. ``status`` is what the client gets (0: the connection is closed without an answer);
    where an application answers it stands as 200 ``via_upstream``. With several destinations, or workloads that treat the
    request differently, it is that of the largest share; :attr:`outcomes` has all.

    ``authentication`` and ``authorization`` are what a gateway says itself; those of workloads stand with the
    destinations. ``timeout`` in seconds, 0 is none. ``response_headers`` are those that the proxies add to an answer.
    ``not_simulated`` names what the mesh has that concerns the request and is not part of this answer.
    """

    request: Request
    source: str
    status: int
    flags: str = ""
    details: str = ""
    body: str = ""
    listener: str = ""
    chain: str = ""
    route: RouteTaken | None = None
    destinations: tuple[Destination, ...] = ()
    location: str = ""
    timeout: float = 0.0
    retries: Retries | None = None
    fault: Fault | None = None
    delayed: float = 0.0
    mirrors: tuple[tuple[str, float], ...] = ()
    cors: str = ""
    response_headers: tuple[tuple[str, str], ...] = ()
    authentication: str = ""
    authorization: Verdict | None = None
    not_simulated: tuple[str, ...] = field(default=())

    @property
    def outcomes(self) -> Mapping[tuple[str, int, str], float]:
        """Cluster, status and flags to their share in percent; an answer of the client's own proxy has no cluster."""
        if not self.destinations:
            return {("", self.status, self.flags): 100.0}
        found: dict[tuple[str, int, str], float] = {}
        for item in self.destinations:
            for status, flags, share in [(i.status, i.flags, i.share) for i in item.inbound] or [
                (item.status, item.flags, 100.0)
            ]:
                key = (item.cluster, status, flags)
                found[key] = round(found.get(key, 0.0) + item.weight * share / 100, 4)
        return found

    @property
    def allowed(self) -> bool:
        """Whether an application gets the request, whichever destination is chosen."""
        answered = {(item.status, item.details) for item in self.destinations}
        answered |= {(inbound.status, inbound.details) for inbound in self._arrivals}
        return answered == {(200, "via_upstream")}

    @property
    def _arrivals(self) -> tuple[Inbound, ...]:
        return tuple(inbound for destination in self.destinations for inbound in destination.inbound)

    @property
    def denials(self) -> tuple[Verdict, ...]:
        """The verdicts against the request."""
        verdicts = (self.authorization, *(inbound.authorization for inbound in self._arrivals))
        return tuple(verdict for verdict in verdicts if verdict is not None and not verdict.allowed)

    def share_to(self, host: str, subset: str | None = None) -> float:
        """Percent of such requests that go to a host (short, or full), and of it to a subset."""
        return sum(d.weight for d in self.destinations if _is(d, host) and subset in (None, d.subset))

    def goes_to(self, host: str, subset: str | None = None, port: int | None = None) -> "Answer":
        """Whether every such request goes to the host (``reviews``, ``reviews.default`` or the full name), its subset and
        port, and gets there."""
        wanted = f"goes to {host}" + (f" subset {subset}" if subset else "") + (f" port {port}" if port else "")
        fits = [_is(d, host) and subset in (None, d.subset) and port in (None, d.port) for d in self.destinations]
        return Answer(self.allowed and all(fits), wanted, self)

    def is_denied(self, by: str | None = None) -> "Answer":
        """Whether authorization refuses it; ``by`` names the policy (``NAME`` or ``NAMESPACE/NAME``). Where no rule of
        the policies that allow holds, every one of them refuses."""
        denials = self.denials
        named = by is None or any(
            by in (policy, policy.rpartition("/")[2]) for v in denials for policy in v.policy.split(", ")
        )
        return Answer(bool(denials) and named, "is denied" + (f" by {by}" if by else ""), self)

    def redirects_to(self, location: str) -> "Answer":
        """Whether the client is sent elsewhere, to that URL."""
        return Answer(bool(self.location) and self.location == location, f"redirects to {location}", self)

    @property
    def summary(self) -> str:
        """The outcome in one line."""
        from mesh_simulation.story import summary  # it knows this module

        return summary(self)

    def explain(self) -> str:
        """The story, line by line."""
        from mesh_simulation.story import story  # it knows this module

        return story(self)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for programs; names and their meaning stay."""
        from mesh_simulation.story import plain

        return plain(self)

    def __str__(self) -> str:
        return self.explain()

    def __repr__(self) -> str:
        return f"<Decision: {self.request}: {self.summary}>"


class Answer:
    """Yes or no, and why: shown where an assertion on it fails."""

    __slots__ = ("decision", "holds", "question")

    def __init__(self, holds: bool, question: str, decision: Decision) -> None:
        self.holds = holds
        self.question = question
        self.decision = decision

    def __bool__(self) -> bool:
        return self.holds

    def __eq__(self, other: object) -> bool:
        return self.holds == bool(other) if isinstance(other, Answer | bool) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{'yes' if self.holds else 'no'}: {self.question}? {self.decision.summary}>"


def _is(destination: Destination, host: str) -> bool:
    full = destination.host
    return host == full or (full.startswith(f"{host}.") and (full.endswith(".svc.cluster.local")))
