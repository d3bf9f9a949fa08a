"""The reflector against a model of an API server that forgets, breaks off, repeats itself and cannot be reached."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesh_control.sources.kubernetes.reflector import (
    GONE,
    LONGEST_WAIT,
    Key,
    List,
    Raw,
    Reflector,
    Wait,
    Watch,
    key_of,
)

Event = tuple[str, Raw]


def item(name: str, version: int, content: int = 0) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": str(version)}, "content": content}


@dataclass
class ModelServer:
    """What etcd and the API server promise: a history by version, of which the oldest part may be forgotten."""

    version: int = 1
    objects: dict[Key, Raw] = field(default_factory=dict)
    history: list[tuple[int, str, Raw]] = field(default_factory=list)
    forgotten: int = 0

    def put(self, name: str, content: int) -> None:
        self.version += 1
        made = item(name, self.version, content)
        kind = "MODIFIED" if key_of(made) in self.objects else "ADDED"
        self.objects[key_of(made)] = made
        self.history.append((self.version, kind, made))

    def delete(self, name: str) -> None:
        if (last := self.objects.pop(("default", name), None)) is not None:
            self.version += 1
            gone = item(name, self.version, int(last["content"]))
            self.history.append((self.version, "DELETED", gone))

    def forget(self) -> None:
        self.forgotten = self.version

    def pages(self, size: int) -> Iterator[tuple[list[Raw], str, str]]:
        found, version = [self.objects[key] for key in sorted(self.objects)], str(self.version)
        starts = range(0, max(len(found), 1), size)
        for start in starts:
            yield found[start : start + size], version, "more" if start + size < len(found) else ""

    def since(self, version: int) -> list[Event]:
        return [(kind, value) for at, kind, value in self.history if at > version]


@dataclass
class Client:
    """Does what the reflector asks, by a clock of its own, as badly as the test wants."""

    server: ModelServer
    reflector: Reflector
    now: float = 0.0
    watch: list[Event] | None = None
    position: int = 0

    def turn(self, trouble: str, size: int = 2) -> None:
        """One step, or some events of the watch that is open."""
        if self.watch is None:
            step = self.reflector.step(self.now)
            if isinstance(step, Wait):
                assert 0 < step.until - self.now <= LONGEST_WAIT
                self.now = step.until
            elif trouble == "unreachable":
                self.reflector.on_failure(self.now, 0, "connection refused")
            elif isinstance(step, List):
                self._list(trouble, size)
            else:
                self._open(step)
        else:
            self._events(trouble)

    def _list(self, trouble: str, size: int) -> None:
        for place, (found, version, after) in enumerate(self.server.pages(size)):
            if trouble == "cut" and place:
                return self.reflector.on_failure(self.now, 0, "cut")
            self.reflector.on_page(found, version, after)
        return None

    def _open(self, step: Watch) -> None:
        version = int(step.version)
        if version < self.server.forgotten:
            self.reflector.on_failure(self.now, GONE, "too old resource version")
            return
        self.watch, self.position = [], version
        self.reflector.watching()

    def _events(self, trouble: str) -> None:
        self.now += 10
        if self.position < self.server.forgotten:
            code = {"code": GONE, "message": "too old"}
            self.reflector.on_event("ERROR", code, self.now)
            self.watch = None
            return
        events = self.server.since(self.position)
        if trouble == "cut":  # some arrive, the rest is lost on the way
            events = events[: len(events) // 2]
        for kind, value in events:
            self.position = int(value["metadata"]["resourceVersion"])
            for _ in range(2 if trouble == "twice" else 1):
                self.reflector.on_event(kind, value, self.now)
        if trouble == "bookmark" and not self.server.since(self.position):
            self.position = self.server.version
            self.reflector.on_event("BOOKMARK", {"metadata": {"resourceVersion": str(self.position)}}, self.now)
        if trouble == "cut":
            self.reflector.on_failure(self.now, 0, "cut")
            self.watch = None
        elif trouble == "end":
            self.reflector.on_end(self.now)
            self.watch = None


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
TROUBLES = st.sampled_from(["", "", "cut", "twice", "unreachable", "end", "bookmark"])
ACTIONS = st.one_of(
    st.tuples(st.just("put"), NAMES, st.integers(0, 3)),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("forget")),
    st.tuples(st.just("turn"), TROUBLES, st.integers(1, 3)),
    st.tuples(st.just("turn"), TROUBLES, st.integers(1, 3)),
)


@given(st.lists(ACTIONS, max_size=60), st.integers())
def test_whatever_happens_the_copy_is_equal_in_the_end(actions: list[tuple[Any, ...]], seed: int) -> None:
    server = ModelServer()
    client = Client(server, Reflector(random.Random(seed)))
    for action, *arguments in actions:
        if action == "turn":
            client.turn(*arguments)
        else:
            getattr(server, action)(*arguments)
    for _ in range(20):
        client.turn("")
    assert client.reflector.items == server.objects
    assert client.reflector.synced
    assert client.reflector.problem == ""


def begun(*items: Raw, version: int = 5) -> Reflector:
    reflector = Reflector(random.Random(1))
    reflector.on_page(items, str(version), "")
    return reflector


def test_a_list_of_pages_counts_when_it_is_whole() -> None:
    reflector = begun(item("old", 1))
    reflector.on_failure(0.0, GONE, "gone")
    assert reflector.step(0.0) == List()
    assert not reflector.on_page([item("a", 2)], "9", "more")
    assert list(reflector.items) == [("default", "old")]
    assert reflector.step(0.0) == List("more")
    assert reflector.on_page([item("b", 3)], "9", "")
    assert list(reflector.items) == [("default", "a"), ("default", "b")]
    assert reflector.step(0.0) == Watch("9")


def test_what_a_new_list_repeats_is_the_same_object_and_no_change() -> None:
    first = item("a", 2)
    reflector = begun(first)
    reflector.on_failure(0.0, GONE, "gone")
    assert not reflector.on_page([item("a", 2)], "9", "")
    assert reflector.items["default", "a"] is first


def test_a_watch_goes_on_where_it_ended_by_the_newest_event_or_bookmark() -> None:
    reflector = begun()
    assert reflector.step(0.0) == Watch("5")
    assert reflector.on_event("ADDED", item("a", 7), 1.0)
    assert not reflector.on_event("BOOKMARK", item("", 9), 2.0)
    reflector.on_failure(3.0, 0, "broken off")
    step = reflector.step(3.0)
    assert isinstance(step, Wait)
    assert reflector.step(step.until) == Watch("9")


def test_the_waits_grow_and_are_no_longer_than_the_longest() -> None:
    reflector, waits, now = begun(), [], 0.0
    for _ in range(12):
        reflector.on_failure(now, 500, "no")
        step = reflector.step(now)
        assert isinstance(step, Wait)
        waits.append(step.until - now)
        now = step.until
    assert waits[0] <= 1.0
    assert LONGEST_WAIT / 2 <= waits[-1] <= LONGEST_WAIT
    assert reflector.problem == "no"
    reflector.on_event("ADDED", item("a", 7), now)
    assert reflector.problem == ""


def test_a_server_whose_watches_end_at_once_is_not_asked_in_a_circle() -> None:
    reflector = begun()
    reflector.step(10.0)
    reflector.on_end(10.1)
    assert isinstance(reflector.step(10.1), Wait)
    later = begun()
    later.step(10.0)
    later.on_end(310.0)
    assert later.step(310.0) == Watch("5")


def test_gone_is_listed_at_once_and_again_only_after_a_wait() -> None:
    reflector = begun()
    reflector.on_event("ERROR", {"code": GONE, "message": "too old"}, 1.0)
    assert reflector.step(1.0) == List()
    reflector.on_failure(1.0, GONE, "the continue token is too old")
    assert isinstance(reflector.step(1.0), Wait)
