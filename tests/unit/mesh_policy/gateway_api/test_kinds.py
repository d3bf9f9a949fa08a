"""What each kind takes, refuses in which words, and writes again."""

import copy
import pickle
from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mesh_policy import KINDS, PolicyError, dump, load_documents
from mesh_policy.gateway_api import Gateway, HTTPRoute, TLSRoute
from mesh_policy.gateway_api.constraints import Text
from mesh_policy.gateway_api.durations import format_duration
from mesh_policy.gateway_api.filters import HeaderModifier, RequestHeaderModifierFilter
from mesh_policy.gateway_api.http_filters import RequestRedirectFilter
from mesh_policy.gateway_api.http_route import HttpRouteSpec, HttpRule, Timeouts
from mesh_policy.networking.gateway import Gateway as IstioGateway
from mesh_policy.yaml_text import written
from tests.support import gateway_api_definitions as official
from tests.support.gateway_api_rows import GROUP, METADATA, NOTHING, ROWS, Row
from tests.support.schema_documents import documents


def loaded(document: dict[str, Any]) -> list[Any]:
    return load_documents(written(document))


@pytest.mark.parametrize(
    "row", [row for row in (*ROWS, *NOTHING) if row.said], ids=lambda row: f"{row.kind}-{row.said[:50]}"
)
def test_refused(row: Row) -> None:
    with pytest.raises(PolicyError) as error:
        loaded(row.document())
    assert row.said in str(error.value)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.said], ids=lambda row: f"{row.kind}-{row.spec[:80]}")
def test_taken_and_written_again(row: Row) -> None:
    document = row.document()
    (policy,) = loaded(document)
    written = yaml.safe_load(dump([policy]))
    assert written == document | {"apiVersion": written["apiVersion"]}
    assert loaded(written) == [policy]


@pytest.mark.parametrize("row", [row for row in NOTHING if not row.said], ids=lambda row: row.spec)
def test_what_holds_nothing_is_not_written(row: Row) -> None:
    (policy,) = loaded(row.document())
    assert "null" not in dump([policy])
    assert load_documents(dump([policy])) == [policy]


@pytest.mark.skipif(official.folder() is None, reason=official.MISSING)
@pytest.mark.parametrize("name", official.KINDS)
def test_what_is_taken_at_random_is_written_again(name: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(documents(official.definition(name), "v1"))
    def check(document: dict[str, Any]) -> None:
        try:
            (policy,) = loaded(document)
        except PolicyError:
            return
        written = yaml.safe_load(dump([policy]))
        assert written == document
        assert loaded(written) == [policy]

    check()


@pytest.mark.parametrize(("metadata", "said"), METADATA, ids=lambda value: str(value)[:80])
def test_metadata(metadata: dict[str, Any], said: str) -> None:
    document = {"apiVersion": f"{GROUP}/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": {}}
    if not said:
        (policy,) = loaded(document)
        assert yaml.safe_load(dump([policy]))["metadata"] == {"namespace": "default"} | metadata
    else:
        with pytest.raises(PolicyError) as error:
            loaded(document)
        assert said in str(error.value)


def test_lines_and_paths_are_those_of_the_file() -> None:
    text = f"""
apiVersion: {GROUP}/v1
kind: HTTPRoute
metadata: {{name: a}}
spec:
  rules:
  - filters:
    - type: RequestRedirect
      requestRedirect:
        hostname: A
    - type: CORS
      cors:
        allowMethods:
        - GET
        - GET
"""
    with pytest.raises(PolicyError) as error:
        load_documents(text, "f.yaml")
    places = [(problem.line, problem.field) for problem in error.value.problems]
    assert places == [
        (10, "spec.rules[0].filters[0].requestRedirect.hostname"),
        (15, "spec.rules[0].filters[1].cors.allowMethods[1]"),
    ]


def test_two_groups_have_a_gateway() -> None:
    own = Gateway.of("a", {"gatewayClassName": "istio", "listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}]})
    other = IstioGateway.of(
        "a", {"servers": [{"port": {"number": 80, "protocol": "HTTP", "name": "http"}, "hosts": ["*"]}]}
    )
    assert own.title() == "Gateway.gateway.networking.k8s.io"
    assert own.key != other.key
    assert load_documents(dump([own, other])) == [own, other]


def test_a_version_stays_where_only_it_takes_the_object() -> None:
    spec = {"rules": [{"backendRefs": [{"name": "a", "port": 1}]}]}
    document = {"apiVersion": f"{GROUP}/v1alpha2", "kind": "TLSRoute", "metadata": {"name": "a"}, "spec": spec}
    (old,) = loaded(document)
    (new,) = loaded(document | {"spec": spec | {"hostnames": ["a.com"]}})
    assert old.to_document()["apiVersion"] == f"{GROUP}/v1alpha2"
    assert new.to_document()["apiVersion"] == f"{GROUP}/v1"
    assert new == TLSRoute.of("a", spec | {"hostnames": ["a.com"]})
    with pytest.raises(ValidationError, match="is required: which names"):
        TLSRoute.of("a", spec)


def test_policies_in_python() -> None:
    rule = HttpRule(
        filters=(RequestHeaderModifierFilter(request_header_modifier=HeaderModifier(remove=("a",))),),
        timeouts=Timeouts(request=timedelta(minutes=90), backend_request="1500ms"),  # type: ignore[arg-type]
    )
    route = HTTPRoute.of("a", HttpRouteSpec(rules=(rule,)))
    assert route.to_document()["spec"]["rules"] == [
        {
            "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a"]}}],
            "timeouts": {"request": "1h30m", "backendRequest": "1500ms"},
        }
    ]
    assert HTTPRoute.of(
        "a", {"rules": [{"filters": [{"type": "RequestRedirect", "request_redirect": {}}]}]}
    ).spec.rules[0].filters == (RequestRedirectFilter(request_redirect={}),)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("10s", 10),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1m60s", 120),
        ("5m5ms", 300.005),
        ("99999h", 359996400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    read = Timeouts.model_validate({"request": text})
    assert read.request == timedelta(seconds=seconds)
    for same in (read, copy.deepcopy(read), read.model_copy(), pickle.loads(pickle.dumps(read))):
        assert same.to_yaml_value() == {"request": text}


@given(st.integers(0, 99999 * 3_600_000))
def test_durations_of_python_have_a_text(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert Timeouts(request=format_duration(value)).request == value  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [timedelta(microseconds=1), timedelta(seconds=-1), timedelta(days=9999)])
def test_durations_without_text_are_refused(value: timedelta) -> None:
    with pytest.raises(ValidationError, match="is not a duration of the Gateway API"):
        Timeouts(request=value)


def test_patterns_end_with_the_text() -> None:
    text = Text("x", "^a$|^b$")
    assert text.check("b") == "b"
    with pytest.raises(ValueError, match="is not x"):
        text.check("a\n")


def test_every_kind_is_listed() -> None:
    assert {name for group, name in KINDS if group == GROUP} == set(official.KINDS)
