"""Prometheus as a source of measurements: its answers are of the documented form, or nothing is measured."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from mesh_control.rollouts.prometheus import PrometheusMeasurements, queries_of
from mesh_policy import CanaryRelease
from mesh_policy.releases import ErrorRate, Latency, Mirror, Weight
from mesh_policy.releases.machine import Rollout

ERRORS, SLOW = ErrorRate("> 10%", window="5s"), Latency("> 500ms", window="1m", quantile=0.99)
CANARY = Rollout(
    release=CanaryRelease(service="books", stable="v1", candidate="v2", steps=(Weight(10),), abort=(ERRORS, SLOW))
)
MIRROR = Rollout(release=Mirror(service="books", stable="v1", candidate="v2", abort=ERRORS))


def test_queries_name_the_candidate_as_its_clients_see_it() -> None:
    """By its version, or by its revision where a client's proxy answered in its place and was told no version."""
    requests, value = queries_of(CANARY, ERRORS)
    service = 'reporter="source",destination_service="books.default.svc.cluster.local"'
    told = f'{service},destination_version="v2"'
    known = f'{service},destination_version="unknown",destination_canonical_revision="v2"'
    total = "istio_requests_total"
    assert requests == f"sum(increase({total}{{{told}}}[5s]) or increase({total}{{{known}}}[5s]))"
    code = 'response_code=~"5.."'
    failed = f"sum(increase({total}{{{told},{code}}}[5s]) or increase({total}{{{known},{code}}}[5s]))"
    assert value == f"100 * ({failed} or vector(0)) / {requests}"
    bucket = "istio_request_duration_milliseconds_bucket"
    times = f"rate({bucket}{{{told}}}[60s]) or rate({bucket}{{{known}}}[60s])"
    assert queries_of(CANARY, SLOW)[1] == f"histogram_quantile(0.99, sum by (le) ({times}))"
    assert 'reporter="destination"' in queries_of(MIRROR, ERRORS)[0]


def test_what_is_named_is_quoted() -> None:
    """With the escapes of Go, in which a letter beyond the first plane is no pair of surrogates."""
    odd = MIRROR.release.model_copy(update={"service": 'b"o\\o\nk😀'})
    requests, _ = queries_of(Rollout.model_construct(release=odd, statements=()), ERRORS)
    assert r'destination_service="b\"o\\o\nk😀.default.svc.cluster.local",' in requests


def vector(*values: str) -> str:
    result = [{"metric": {}, "value": [1435781451.781, value]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


ANSWERS = [
    ("measured", vector("40.2"), vector("12.5"), (40, 12.5)),
    ("no series yet", vector(), vector(), None),
    ("no requests", vector("0"), vector("NaN"), (0, 0.0)),
    ("no end", vector("5"), vector("+Inf"), (0, 0.0)),
    ("requests that are no number", vector("NaN"), vector("1"), None),
    ("endless requests", vector("+Inf"), vector("1"), None),
    ("an error", '{"status":"error","errorType":"bad_data","error":"x"}', vector("1"), None),
    ("a list", "[]", vector("1"), None),
    ("no JSON", "<html>", vector("1"), None),
    ("a text", vector("many"), vector("1"), None),
]


@pytest.mark.parametrize(("requests", "value", "found"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
async def test_answers(requests: str, value: str, found: tuple[int, float] | None) -> None:
    asked: list[str] = []

    async def fetch(url: str) -> str:
        asked.append(url)
        (query,) = parse_qs(urlsplit(url).query)["query"]
        return requests if query == queries_of(MIRROR, ERRORS)[0] else value

    read = (await PrometheusMeasurements("http://prometheus:9090/", fetch).read(MIRROR, 0.0)).get(str(ERRORS))
    assert (None if read is None else (read.requests, read.value)) == found
    assert asked[0].startswith("http://prometheus:9090/api/v1/query?query=sum")


@pytest.mark.parametrize("error", [OSError("refused"), TimeoutError()])
async def test_a_prometheus_that_does_not_answer_measures_nothing(error: Exception) -> None:
    async def fetch(_url: str) -> str:
        raise error

    assert await PrometheusMeasurements("http://prometheus", fetch).read(CANARY, 0.0) == {}
