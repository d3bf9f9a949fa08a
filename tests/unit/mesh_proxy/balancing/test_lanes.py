"""Connections to a host that not every request may have."""

from mesh_proxy.balancing.lanes import Lane, Lanes


class _Connection:
    """A connection at rest that is closed when it is asked to."""

    def __init__(self, lanes: Lanes, lane: Lane) -> None:
        self.resting = True
        self._lanes, self._lane = lanes, lane
        lane.connections += 1
        lane.idle.append(self)

    def close(self) -> None:
        self._lane.idle.remove(self)
        self._lanes.leave(self._lane)


def test_a_lane_is_gone_with_its_last_connection() -> None:
    lanes, lane = Lanes(), Lane(b"a")
    lanes.add(lane)
    lane.connections = 2
    lanes.leave(lane)
    assert lanes.get(b"a") is lane
    lanes.leave(lane)
    assert lanes.get(b"a") is None


def test_a_lane_that_somebody_waits_in_stays() -> None:
    lanes, lane = Lanes(), Lane(b"a")
    lanes.add(lane)
    lane.connections = 1
    lane.pending.append(object())
    lanes.leave(lane)
    assert (lanes.get(b"a"), lanes.waiting()) == (lane, 1)


def test_names_that_clients_choose_do_not_add_up() -> None:
    lanes = Lanes()
    for number in range(3000):
        lane = Lane(b"%d" % number)
        lanes.add(lane)
        _Connection(lanes, lane)
    assert len(lanes.idle()) == 1024
    assert (lanes.get(b"0"), lanes.get(b"2999")) == (None, lane)


def test_lanes_without_a_connection_do_not_add_up() -> None:
    lanes = Lanes()
    for number in range(3000):
        lanes.add(Lane(b"%d" % number))
    assert sum(lanes.get(b"%d" % number) is not None for number in range(3000)) == 1024
