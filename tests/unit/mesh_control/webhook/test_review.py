"""Questions of an API server and their answers: what is refused names field and mend, what is odd is a warning."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh_control.sources.directory import PolicyDirectory
from mesh_control.state import State
from mesh_control.webhook.review import API_VERSION, Judge, Review, ReviewError, answer, parse, verdict
from mesh_policy import Finding, Level, Policy, load_documents

SERVICE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {
        "name": "shop",
        "namespace": "default",
        "creationTimestamp": "2026-08-27T12:00:00Z",
        "uid": "1",
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {"hosts": ["shop.example"], "http": [{"route": [{"destination": {"host": "shop.example"}}]}]},
    "status": {"observedGeneration": 1},
}
RESOURCE = {"group": "networking.istio.io", "version": "v1", "resource": "virtualservices"}


def body(value: object, **changes: Any) -> bytes:
    request = {"uid": "u-1", "operation": "CREATE", "resource": RESOURCE, "object": value, **changes}
    return json.dumps({"apiVersion": API_VERSION, "kind": "AdmissionReview", "request": request}).encode()


def spec(**changes: Any) -> dict[str, Any]:
    return {**SERVICE, "spec": {**SERVICE["spec"], **changes}}  # type: ignore[dict-item]


def finds(*findings: Finding) -> Judge:
    return lambda policy: list(findings)


def answered(value: object, judge: Judge = finds(), **changes: Any) -> dict[str, Any]:  # noqa: B008 (a function)
    review = parse(body(value, **changes))
    found = answer(review, verdict(review, judge))
    assert (found["apiVersion"], found["kind"], found["response"]["uid"]) == (API_VERSION, "AdmissionReview", "u-1")
    response: dict[str, Any] = found["response"]
    return response


def test_what_is_right_is_taken_as_kubernetes_has_it() -> None:
    seen: list[Policy] = []

    def judge(policy: Policy) -> list[Finding]:
        seen.append(policy)
        return []

    assert answered(SERVICE, judge) == {"uid": "u-1", "allowed": True}
    assert [policy.key for policy in seen] == [("VirtualService", "default", "shop")]


REFUSED = {
    "a field": (spec(htpp=[]), "VirtualService shop: spec.htpp: there is no such field; did you mean http?"),
    "a value": (
        spec(http=[{"route": [{"destination": {"host": "a"}}], "timeout": "soon"}]),
        "VirtualService shop: spec.http[0].timeout: ",
    ),
    "a kind of ours": ({**SERVICE, "kind": "VirtualServise"}, "kind"),
    "a kind that is never taken": ({**SERVICE, "kind": "EnvoyFilter"}, "EnvoyFilter"),
    "a version": (
        {**SERVICE, "apiVersion": "networking.istio.io/v9"},
        "version 'v9' is unknown; use one of v1, v1beta1",
    ),
    "no kind": ({"metadata": {"name": "x"}}, "apiVersion and kind are required, as text"),
    "not ours": ({**SERVICE, "apiVersion": "v1", "kind": "Pod"}, "Pod: is no policy of this mesh"),
    "no metadata": ({k: v for k, v in SERVICE.items() if k != "metadata"}, "metadata: is required"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_names_field_and_mend(name: str) -> None:
    value, message = REFUSED[name]
    response = answered(value)
    assert (response["allowed"], response["status"]["code"], response["status"]["reason"]) == (False, 422, "Invalid")
    assert message in response["status"]["message"]


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT", ""])
def test_other_operations_are_nothing_to_judge(operation: str) -> None:
    assert answered(None, operation=operation)["allowed"]


def test_what_is_being_removed_can_lose_its_finalizers() -> None:
    metadata = {**SERVICE["metadata"], "deletionTimestamp": "2026-08-27T12:00:00Z"}  # type: ignore[dict-item]
    assert answered({**spec(htpp=[]), "metadata": metadata}, operation="UPDATE")["allowed"]


def test_a_name_that_will_be_generated_is_none_to_complain_about() -> None:
    value = {**SERVICE, "metadata": {"generateName": "shop-"}}
    seen: list[Policy] = []
    assert answered(value, lambda policy: seen.append(policy) or [], namespace="store")["allowed"]  # type: ignore[func-returns-value]
    assert [policy.key for policy in seen] == [("VirtualService", "store", "shop-x")]


def finding(code: str, level: Level) -> Finding:
    return Finding(code, level, "VirtualService default/shop", "spec.hosts[0]", "is odd; mend it")


LINE = "VirtualService default/shop: spec.hosts[0]: is odd; mend it"
GATEWAY_API = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "HTTPRoute",
    "metadata": {"name": "shop", "namespace": "default"},
    "spec": {"rules": [{"backendRefs": [{"name": "shop", "port": 80}]}]},
}
JUDGED: list[tuple[object, str, Level, bool]] = [
    (SERVICE, "MESH0007", Level.ERROR, False),
    (SERVICE, "MESH0006", Level.ERROR, False),
    (SERVICE, "MESH0002", Level.WARNING, True),
    (SERVICE, "MESH0010", Level.INFO, True),
    (SERVICE, "IST0101", Level.ERROR, True),  # it may come with the next object
    (GATEWAY_API, "MESH0006", Level.ERROR, True),  # it may be another controller's
]


@pytest.mark.parametrize(("value", "code", "level", "taken"), JUDGED)
def test_errors_refuse_and_the_rest_are_warnings(value: object, code: str, level: Level, taken: bool) -> None:
    response = answered(value, finds(finding(code, level)))
    assert response["allowed"] is taken
    shown = response["warnings"] if taken else response["status"]["message"].splitlines()
    assert shown == [f"{code} {LINE}"]


def test_what_is_logged_are_fields_alone() -> None:
    review = parse(body(spec(http=[{"match": [{"uri": {"regex": "(s3cret"}}]}])))
    found = verdict(review, finds())
    assert "s3cret" not in "".join((*found.fields, review.subject, found.reason))
    assert found.fields


@pytest.mark.parametrize("name", ["two\nlines", "x" * 500])
def test_what_is_logged_is_one_line(name: str) -> None:
    assert parse(body({**SERVICE, "metadata": {"name": name}})).subject == "something"
    assert parse(body(SERVICE)).subject == "VirtualService default/shop"


BODIES = {
    b"": "the body is no JSON",
    b"[": "the body is no JSON",
    b"[]": "the body is no AdmissionReview",
    b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}': "ask in admission.k8s.io/v1",
    b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"}': "request.uid is missing",
    b'{"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "1", "object": 1}}': "no object",
}


@pytest.mark.parametrize("content", BODIES)
def test_what_is_no_question(content: bytes) -> None:
    with pytest.raises(ReviewError, match=BODIES[content]):
        parse(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
SHAPED = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": JSON | st.sampled_from(["networking.istio.io/v1", "security.istio.io/v1"]),
        "kind": JSON | st.sampled_from(["VirtualService", "AuthorizationPolicy", "Gateway"]),
        "metadata": JSON | st.fixed_dictionaries({}, optional={"name": JSON, "namespace": JSON, "generateName": JSON}),
        "spec": JSON,
        "status": JSON,
    },
)


@given(SHAPED, JSON, JSON)
def test_whatever_comes_is_answered(value: object, resource: object, operation: object) -> None:
    for asked in (operation, "CREATE"):
        response = answered(value, resource=resource, operation=asked)
        assert response["allowed"] or response["status"]["message"]


@given(st.binary(max_size=200))
def test_whatever_bytes_come_are_a_question_or_none(content: bytes) -> None:
    with contextlib.suppress(ReviewError):
        assert isinstance(parse(content), Review)


# The present world

WORLD = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop}
spec: {hosts: [shop.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}
"""


@pytest.fixture
def state(tmp_path: Any) -> State:
    directory = PolicyDirectory(tmp_path)
    directory.replace("demo", load_documents(WORLD))
    found = State(directory)
    found.reload()
    return found


def test_an_object_is_judged_in_the_present_world(state: State) -> None:
    def judged(text: str) -> list[str]:
        (policy,) = load_documents(text)
        return [finding.code for finding in state.judge(policy, "kubernetes") if finding.level is Level.ERROR]

    assert judged(WORLD.replace("name: shop", "name: other").replace("shop.example", "other.example")) == []
    assert judged(WORLD.replace("{name: shop}", "{name: other}")) == ["MESH0007"]
    assert judged(WORLD) == ["MESH0005"]
    assert [policy.metadata.name for policy in state.world.policies] == ["shop"]


def test_an_object_takes_the_place_of_the_one_of_its_name(state: State) -> None:
    (policy,) = load_documents(WORLD)
    assert state.judge(policy, state.directory.name) == []
