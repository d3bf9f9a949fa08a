"""Settings of meshes against istiod's own code: what it takes, what it makes of it, and every field that it knows."""

import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from mesh_policy import PolicyError
from mesh_policy.mesh_config import (
    MeshConfig,
    MeshNetworks,
    ProxyConfig,
    read_mesh_config,
    read_mesh_networks,
    read_proxy_config,
)
from mesh_policy.schema.structure import models_of, yaml_names
from tests.support import go_programs, mesh_settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]  # the program's first build

READERS = {"MeshConfig": read_mesh_config, "ProxyConfig": read_proxy_config, "MeshNetworks": read_mesh_networks}
CHANGES = 3000
"""Changed settings of each kind; an answer takes a millisecond."""
STRICTER = {
    ".*: there is no such field.*": "istiod passes over a field that it does not know; what it was to do is not done",
    ".*: must be .*, not (nothing|None).*": "an entry that is not there, of a list or map, is an empty one to istiod",
    ".*exclude each other; keep one": "of several fields of a choice protobuf keeps the last, silently",
    ".*: Input should be '.*": "a value by its number is read by nobody but protobuf",
    ".*(: is required|: one of .* is required|at least 1 character)": "Istio's page says so, its code does not ask",
    "extensionProviders: the name .* stands twice.*": "istiod takes the last",
    r"extensionProviders\[\d+\].*": "istiod logs it where it does not lose the provider to another of its name or kind",
    r"networks\..*\.(registryServiceName|fromCidr): .*": "istiod does not look at it where another of the choice is set",
    r".*tracing\.(zipkin|lightstep|datadog)\..*": "the same",
    ".*maxNumberOf.*": "a number below 0 is none",
    "default(Service|VirtualService|DestinationRule)ExportTo.*": "what stands there is in no namespace, and seen by nobody",
    r"(proxyInboundListenPort|proxyHttpPort|.*\.statNameLength|statNameLength|.*concurrency): Input .*": "it is none",
    ".*is negative; write 0s or more": "Envoy refuses such a time, or takes it for none",
    ".*[pP]ollDelay: .*too short.*": "Istio's page says 1 ms, its code not 0",
    ".*sampling: .*": "a share is between 0 and 100; istiod takes 1 for what is not",
    "tlsDefaults.ecdhCurves.*": "istiod warns, and Envoy refuses the listener",
    r".*(discoverySelectors|[sS]elector)\b.*": "istiod finds out when it runs, and then selects nothing",
    "defaultHttpRetryPolicy.*": "a VirtualService's are checked so",
    r".*\b(tls|tlsSettings)\b.*": "a DestinationRule's is checked so",
    r".*\b(tcpKeepalive|connectionPool|outlierDetection)\b.*": "a DestinationRule's is checked so by its schema",
    r"(localityLbSetting|zoneAwareLbSetting)\b.*": "so is this",
    ".*readinessProbe.*": "a WorkloadGroup's is checked so",
    ".*must be a whole number, not '.*'; write it without quotes": "parts that policies have too are read as policies are",
}
"""What we refuse and istiod takes, as FIELD: WORDS of ours, with the reason."""


@pytest.fixture(scope="module")
def istiod() -> Iterator[mesh_settings.Istiod]:
    try:
        program = go_programs.build("istio_verdicts")
    except go_programs.NotBuiltError as reason:
        pytest.skip(str(reason))
    with mesh_settings.running(program) as found:
        yield found


def ours(kind: str, text: str) -> tuple[list[str], Any]:
    """What we have against settings, as FIELD: WORDS, or the settings."""
    try:
        return [], READERS[kind](text)
    except PolicyError as error:
        return [f"{problem.field}: {problem.message}" for problem in error.problems], None


def effective(settings: Any) -> Mapping[str, Any]:
    over = settings.over(ProxyConfig()) if isinstance(settings, ProxyConfig) else settings
    value: Mapping[str, Any] = over.to_effective_value()
    return value


def disagreement(istiod: mesh_settings.Istiod, kind: str, value: Mapping[str, Any]) -> str:
    """Where the two differ, in the verdict or in the values; empty when all is well."""
    text = json.dumps(value)
    theirs, (refused, settings) = istiod.of(kind, text), ours(kind, text)
    refusal = theirs.refusal or theirs.providers
    if bool(refusal) != bool(refused):
        explained = refused and all(any(re.fullmatch(known, words) for known in STRICTER) for words in refused)
        return "" if explained else f"{kind} {text}\n  istiod: {refusal}\n  we: {refused}"
    if refused:
        return ""
    same = istiod.same(kind, effective(settings))
    if same.effective != theirs.effective:
        return f"{kind} {text}\n  istiod: {theirs.effective}\n  we: {same.refusal or same.effective}"
    again = yaml.safe_dump(settings.to_yaml_value())
    return "" if READERS[kind](again) == settings else f"{kind} {text}\n  we write {again}"


@pytest.mark.parametrize("kind", mesh_settings.KINDS)
def test_rows(istiod: mesh_settings.Istiod, kind: str) -> None:
    wrong = []
    for group, expected in (("accept", (False, False)), ("refuse", (True, True)), ("stricter", (False, True))):
        for value in mesh_settings.rows(kind, group):
            theirs, (refused, _) = istiod.of(kind, json.dumps(value)), ours(kind, json.dumps(value))
            if (bool(theirs.refusal or theirs.providers), bool(refused)) != expected:
                wrong.append(f"{group} {value}\n  istiod: {theirs.refusal or theirs.providers}\n  we: {refused}")
            elif group == "accept":
                wrong.append(disagreement(istiod, kind, value))
    assert "\n".join(filter(None, wrong)) == ""


@pytest.mark.parametrize("kind", mesh_settings.KINDS)
def test_rows_with_changes(istiod: mesh_settings.Istiod, kind: str) -> None:
    rng = random.Random(f"{kind} 1")
    values = [*mesh_settings.rows(kind, "accept"), *mesh_settings.rows(kind, "refuse")]
    changed = (mesh_settings.change(kind, rng.choice(values), rng) for _ in range(CHANGES))
    found = (disagreement(istiod, kind, value) for value in changed)
    assert next(filter(None, found), "") == ""


def test_an_annotation_goes_over_the_mesh(istiod: mesh_settings.Istiod) -> None:
    wrong = []
    values = mesh_settings.rows("ProxyConfig", "accept")
    for below in values:
        base = {"defaultConfig": below}
        for above in values:
            theirs = istiod.of("ProxyConfig", json.dumps(above), json.dumps(base))
            mesh, annotation = read_mesh_config(json.dumps(base)), read_proxy_config(json.dumps(above))
            made = istiod.same("ProxyConfig", mesh.proxy_config(annotation).to_effective_value())
            if made.effective != theirs.effective:
                wrong.append(f"{above} over {below}\n  istiod: {theirs.effective}\n  we: {made.effective}")
    assert "\n".join(wrong[:3]) == ""


def differences(model: type[BaseModel], message: str, schema: Mapping[str, Any], seen: set[Any]) -> Iterator[str]:
    """Fields and values of a message that a model has not, or that it has alone."""
    if (model, message) in seen:
        return
    seen.add((model, message))
    known = {yaml_names(name, info)[0]: info for name, info in model.model_fields.items()}
    for name in sorted(schema[message].keys() ^ known.keys()):
        yield f"{message}.{name} is {'not' if name in schema[message] else 'only'} in {model.__name__}"
    for name, info in known.items():
        field = schema[message].get(name, {"message": "", "values": None})
        values = set(_literals(info.annotation))
        if field["values"] and not values <= {*field["values"]}:
            yield f"{message}.{name}: {values} are not {field['values']}"
        if field["values"] and not {*field["values"]} <= values | LEFT_OUT:
            yield f"{message}.{name}: {field['values']} are not all in {values}"
        for inner in models_of(info.annotation):
            if field["message"] in schema:
                yield from differences(inner, field["message"], schema, seen)


LEFT_OUT = {"INHERIT"}
"""Values that istiod's code refuses."""


def _literals(annotation: Any) -> Iterator[str]:
    for argument in getattr(annotation, "__args__", ()):
        if isinstance(argument, str):
            yield argument
        else:
            yield from _literals(argument)


def test_every_field_is_known(istiod: mesh_settings.Istiod) -> None:
    schema, seen = istiod.schema(), set[Any]()
    for settings in (MeshConfig(), ProxyConfig(), MeshNetworks()):  # made, so that their fields have their names
        model = type(settings)
        assert list(differences(model, f"istio.mesh.v1alpha1.{model.__name__}", schema, seen)) == []
    assert {message for _, message in seen} == schema.keys()
