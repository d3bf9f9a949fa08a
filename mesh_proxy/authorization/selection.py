"""Which of many policies may hold for an access: a look into a few tables in place of a walk through all of them.

Of each policy one thing is found that it cannot do without (:mod:`mesh_proxy.authorization.needs`), such as its paths or its
principals: what it shares with the fewest others. Policies without any such are always candidates. What is selected is then
tested as a whole, so a selection may be too wide, and is never too narrow.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Final

from mesh_api.config.authorization import RbacPolicy
from mesh_proxy.authorization import needs
from mesh_proxy.authorization.access import Access, Address, destination_ip, peer_ip, remote_ip
from mesh_proxy.authorization.affixes import NONE, READ, Affixes, Places, by_header, by_metadata, joined, look_of
from mesh_proxy.authorization.needs import BEGINNING, END, Source, Value

FEW: Final = 8
"""So many policies are walked through as quickly."""
KEPT: Final = 4096
"""Certificates of which is remembered what was found for them."""

Select = Callable[[Access], Places]
Table = dict[Value, Places]
Tables = Mapping[Source, Table]

_NS: Final = b"ns"
_SA: Final = b"sa"


def selection(policies: Sequence[RbacPolicy]) -> Select | None:
    """What selects the candidates for an access; ``None``: it is not worth it, all of them are to be tested. Raises
    :class:`ValueError` for what is no network."""
    if len(policies) <= FEW:
        return None
    needed = list(map(needs.of_policy, policies))
    shared = Counter(key for found in needed for keys in found for key in keys)
    tables: dict[Source, dict[Value, set[int]]] = {}
    always = tuple(place for place, found in enumerate(needed) if not found)
    if len(always) * 2 > len(policies):
        return None
    for place, found in enumerate(needed):
        chosen = min(found, key=lambda keys: max(shared[key] for key in keys), default=())
        for source, value in chosen:
            tables.setdefault(source, {}).setdefault(value, set()).add(place)
    return _select({source: _settled(table) for source, table in tables.items()}, always)


def _settled(table: Mapping[Value, set[int]]) -> Table:
    return {value: tuple(sorted(places)) for value, places in table.items()}


def _select(tables: Tables, always: Places) -> Select:
    """The looks that most meshes need stand in one function: each in one of its own would cost as much as the looks."""
    whole, beginnings = tables.get((needs.PATH,), {}), tables.get((needs.PREFIX,), {})
    lengths = tuple(sorted({len(beginning) for beginning in beginnings if isinstance(beginning, bytes)}))
    hosts, methods = tables.get((needs.HOST,), {}), tables.get((needs.METHOD,), {})
    names = _Names(tables)
    known, of_names = names.known, names.worth
    more = _looks(tables)

    def select(access: Access) -> Places:
        places, head = always, access.head
        path = head.path
        if path in whole:
            places = joined(places, whole[path])
        for length in lengths:
            beginning = path[:length]
            if beginning in beginnings:
                places = joined(places, beginnings[beginning])
        if of_names and access.principals is not None:
            found = known.get(access.principals)
            if found is None:
                found = names.look(access.principals)
            places = joined(places, found)
        if hosts:
            places = joined(places, hosts.get(head.host.lower(), NONE))
        if methods and head.method in methods:
            places = joined(places, methods[head.method])
        for look in more:
            places = joined(places, look(access))
        return places

    return select


def _looks(tables: Tables) -> tuple[Select, ...]:
    """What is not looked at by :func:`_select` itself."""
    found = [LOOKS[str(source[0])](source, table) for source, table in tables.items() if source[0] in LOOKS]
    for source, table in tables.items():
        if source[0] in (BEGINNING, END) and source[1] in READ:
            found.append(look_of(source, Affixes(table, source[0] == END)))
    return tuple(found)


class _Names:
    """By the names in certificates. Connections are few beside requests: what was found for one is kept."""

    def __init__(self, tables: Tables) -> None:
        self._principals = tables.get((needs.PRINCIPAL,), {})
        self._parts = {_NS: tables.get((needs.NAMESPACE,), {}), _SA: tables.get((needs.ACCOUNT,), {})}
        self._whole: list[Affixes] = _affixes(tables, needs.PRINCIPAL)
        self._namespaces: list[Affixes] = _affixes(tables, needs.NAMESPACE)
        self.known: dict[tuple[bytes, ...], Places] = {}
        self.worth = bool(self._principals or any(self._parts.values()) or self._whole or self._namespaces)

    def look(self, names: tuple[bytes, ...]) -> Places:
        """As if they had not been asked for before."""
        places = NONE
        for name in names:
            places = joined(places, self._principals.get(name, NONE))
            for part, after in pairwise(name.split(b"/")):
                if part in self._parts:
                    places = joined(places, self._parts[part].get(after, NONE))
            for affixes in self._whole:
                places = joined(places, affixes.find(name))
            # Before the end of a namespace's name Istio's expression lets anything stand, slashes, too.
            for affixes in self._namespaces:
                for part in name.split(b"/"):
                    places = joined(places, affixes.find(part))
        if len(self.known) >= KEPT:
            self.known.clear()
        self.known[names] = places
        return places


def _affixes(tables: Tables, kind: str) -> list[Affixes]:
    return [Affixes(tables[affix, kind], affix == END) for affix in (BEGINNING, END) if (affix, kind) in tables]


def _by_port(_source: Source, table: Table) -> Select:
    return lambda access: table.get(access.destination[1], NONE)


def _by_header(source: Source, table: Table) -> Select:
    return by_header(source, lambda value: table.get(value, NONE))


def _by_metadata(source: Source, table: Table) -> Select:
    return by_metadata(source, lambda value: table.get(value, NONE))


def _by_network(read: Callable[[Access], Address | None]) -> Callable[[Source, Table], Select]:
    def make(source: Source, table: Table) -> Select:
        bits, shift = int(str(source[1])), int(str(source[2]))

        def look(access: Access) -> Places:
            address = read(access)
            return NONE if address is None or address[0] != bits else table.get(address[1] >> shift, NONE)

        return look

    return make


def _by_server_name(_source: Source, table: Table) -> Select:
    return lambda access: table.get(access.server_name, NONE)


LOOKS: Final[dict[str, Callable[[Source, Table], Select]]] = {
    needs.SERVER_NAME: _by_server_name,
    needs.PORT: _by_port,
    needs.HEADER: _by_header,
    needs.METADATA: _by_metadata,
    needs.PEER: _by_network(peer_ip),
    needs.REMOTE: _by_network(remote_ip),
    needs.DESTINATION: _by_network(destination_ip),
}
"""Sources that are looked at one by one. A further one: a word and its key in :mod:`~mesh_proxy.authorization.needs`, and a
line here."""
