"""How much one client may ask."""

import pytest

from mesh_control.serve.limits import Admission, Bucket, Limits


def test_a_client_may_say_a_lot_at_once_and_then_so_much_a_second() -> None:
    bucket = Bucket(rate=10, burst=3)
    assert [bucket.wait(100.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.wait(100.0) == pytest.approx(0.1)
    assert bucket.wait(100.0) == pytest.approx(0.2)
    assert bucket.wait(100.3) == pytest.approx(0.0)
    assert [bucket.wait(1000.0) for _ in range(4)][-1] == pytest.approx(0.1)


def test_no_rate_is_no_limit() -> None:
    bucket = Bucket(rate=0, burst=1)
    assert {bucket.wait(0.0) for _ in range(100)} == {0.0}


def test_streams_are_counted_by_address_and_by_identity() -> None:
    admission = Admission(Limits(per_address=2, per_identity=1))
    assert admission.enter("10.0.0.1", ("spiffe://a",)) is None
    assert admission.enter("10.0.0.2", ("spiffe://a",)) == "spiffe://a has 1 streams already"
    assert admission.enter("10.0.0.1", ()) is None
    assert admission.enter("10.0.0.1", ()) == "10.0.0.1 has 2 streams already"
    admission.leave("10.0.0.1", ("spiffe://a",))
    assert admission.enter("10.0.0.1", ("spiffe://a",)) is None
    assert Admission(Limits()).enter("10.0.0.1", ("spiffe://a", "spiffe://b")) is None
