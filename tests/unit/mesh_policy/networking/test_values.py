"""Hosts, durations, values of headers, labels: the small rules that many fields share."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mesh_policy import hosts
from mesh_policy.durations import OffOrPositive, PositiveDuration, format_duration, parse_duration
from mesh_policy.networking.header_values import check_header_value
from mesh_policy.networking.load_balancing import is_prime


@pytest.mark.parametrize("name", ["a", "A", "a.b.", "*", "*.a", "*a", "*-a.b", "1.a", "a.99999999999999999999"])
def test_hosts(name: str) -> None:
    assert hosts.check_host(name) == name


@pytest.mark.parametrize(
    "name", ["", "a..b", "*.*", "a.*", "**", "a_b", "10.0.0.1", "a.1", "-a", "x" * 64, "a\n", "é", "::1"]
)
def test_no_hosts(name: str) -> None:
    with pytest.raises(ValueError, match="host"):
        hosts.check_host(name)


@pytest.mark.parametrize("name", ["10.0.0.1", "::1", "10.0.0.1/8", "::/0", "2001:db8::/32"])
def test_subnets(name: str) -> None:
    assert hosts.check_subnet(name) == name


@pytest.mark.parametrize(
    "name", ["", "a", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/", "10.0.0.0/255.0.0.0", "1.2.3", "fe80::1%a/8"]
)
def test_no_subnets(name: str) -> None:
    with pytest.raises(ValueError, match=r"no network|neither"):
        hosts.check_subnet(name)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a", "a", True),
        ("A", "a", False),
        ("*.b", "a.b", True),
        ("*.b", "b", False),
        ("*.a.b", "*.b", True),
        ("*", "a", True),
    ],
)
def test_overlap_goes_both_ways(one: str, other: str, expected: bool) -> None:
    assert hosts.overlap(one, other) is expected
    assert hosts.overlap(other, one) is expected


@given(st.timedeltas(timedelta(), timedelta(days=100_000)))
def test_durations_are_read_as_they_are_written(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value
    assert parse_duration(f"-{format_duration(value)}") == -value


POSITIVE: TypeAdapter[timedelta] = TypeAdapter(PositiveDuration)
OFF: TypeAdapter[timedelta] = TypeAdapter(OffOrPositive)


@pytest.mark.parametrize("text", ["1ms", "+1s", "1h1m1s", ".5s", "1.s", "1000us", "1000000ns", "1s1s"])
def test_positive(text: str) -> None:
    assert POSITIVE.validate_python(text) >= timedelta(milliseconds=1)


@pytest.mark.parametrize(
    "text", ["0", "0s", "-1s", "999us", "1.5ms", "1.000001ms", "1000001ns", "1", "1d", "", "s", "1 s", "٣s"]
)
def test_not_positive(text: str) -> None:
    with pytest.raises(ValidationError):
        POSITIVE.validate_python(text)


@pytest.mark.parametrize(
    ("text", "taken"), [("0s", True), ("500us", True), ("-1us", True), ("1.5ms", False), ("-1s", False)]
)
def test_off_or_positive(text: str, taken: bool) -> None:
    if taken:
        assert abs(OFF.validate_python(text)) < timedelta(milliseconds=1)
        return
    with pytest.raises(ValidationError):
        OFF.validate_python(text)


@pytest.mark.parametrize(
    "value", ["", "a", "100%%", "%A%", "a%A%b", "%A(b)%", "%A( b\\)c) %", '%A(["b", "c\\""] )%', "\t", "é"]
)
def test_values_of_headers(value: str) -> None:
    assert check_header_value(value) == value


@pytest.mark.parametrize(
    "value", ["%", "100%", "%A", "%A(b)", "%A(b)x%", "%A()%", '%A(["b")%', "%A([b])%", '%A(["b"', "%%%", "\r", "\x7f"]
)
def test_no_values_of_headers(value: str) -> None:
    with pytest.raises(ValueError, match=r"%|header|argument"):
        check_header_value(value)


def test_primes_are_those_of_envoy() -> None:
    assert [number for number in range(12) if is_prime(number)] == [1, 2, 3, 5, 7, 11]
