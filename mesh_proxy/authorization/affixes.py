"""Looks by how a value begins or ends: one into a table for each length that something in it has."""

from collections.abc import Callable, Mapping
from typing import Final

from mesh_proxy.authorization import needs
from mesh_proxy.authorization.access import Access
from mesh_proxy.authorization.needs import Source, Value
from mesh_proxy.routing.matchers import values_of
from mesh_proxy.routing.metadata import value_at

Places = tuple[int, ...]
"""Policies by their place, ascending."""

NONE: Final[Places] = ()


def joined(some: Places, more: Places) -> Places:
    """All of both."""
    if not some or not more:
        return some or more
    return tuple(sorted({*some, *more}))


class Affixes:
    """Policies by the beginnings of values, or by their ends (``ends``)."""

    __slots__ = ("_ends", "_lengths", "_table")

    def __init__(self, table: Mapping[Value, Places], ends: bool) -> None:
        self._table: dict[Value, Places] = dict(table)
        self._lengths: tuple[int, ...] = tuple(
            sorted({len(affix) for affix in table if isinstance(affix, bytes | str)})
        )
        self._ends = ends

    def find(self, value: Value) -> Places:
        """Those with a beginning or an end of a value."""
        places, table = NONE, self._table
        if not isinstance(value, bytes | str):
            return places
        for length in self._lengths:
            if length > len(value):
                break
            found = table.get(value[len(value) - length :] if self._ends else value[:length])
            if found is not None:
                places = joined(places, found)
        return places


Look = Callable[[Access], Places]


def look_of(source: Source, affixes: Affixes) -> Look:
    """The look for a source of :data:`READ`."""
    return READ[str(source[1])](source[1:], affixes)


def _of_path(_source: Source, affixes: Affixes) -> Look:
    return lambda access: affixes.find(access.head.path)


def _of_host(_source: Source, affixes: Affixes) -> Look:
    return lambda access: affixes.find(access.head.host.lower())


def _of_server_name(_source: Source, affixes: Affixes) -> Look:
    return lambda access: affixes.find(access.server_name)


def _of_header(source: Source, affixes: Affixes) -> Look:
    return by_header(source, affixes.find)


def _of_metadata(source: Source, affixes: Affixes) -> Look:
    return by_metadata(source, affixes.find)


def by_header(source: Source, find: Callable[[Value], Places]) -> Look:
    """By each value of a field, as ``find`` finds them."""
    name = source[1]
    assert isinstance(name, bytes)  # noqa: S101 (such are its sources)
    field = name

    def look(access: Access) -> Places:
        places = NONE
        for value in values_of(field, access.head):
            places = joined(places, find(value))
        return places

    return look


def by_metadata(source: Source, find: Callable[[Value], Places]) -> Look:
    """By a text of metadata, or each in a list there, as ``find`` finds them."""
    _, filter_name, path = source
    assert isinstance(filter_name, str)  # noqa: S101 (as above)
    assert isinstance(path, tuple)  # noqa: S101
    whose, where = filter_name, path

    def look(access: Access) -> Places:
        value = value_at(access.metadata, whose, where)
        if isinstance(value, str):
            return find(value)
        places = NONE
        if isinstance(value, list | tuple):
            for member in value:
                if isinstance(member, str):
                    places = joined(places, find(member))
        return places

    return look


READ: Final[dict[str, Callable[[Source, Affixes], Look]]] = {
    needs.PATH: _of_path,
    needs.HOST: _of_host,
    needs.SERVER_NAME: _of_server_name,
    needs.HEADER: _of_header,
    needs.METADATA: _of_metadata,
}
"""Sources whose beginnings and ends are looked at one by one; those of names in certificates are kept with the names."""
