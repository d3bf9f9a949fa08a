"""Documents at random from the official schemas, the cases, and Istio's samples: what loads, loads again the same."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from mesh_policy import KINDS, Policy, PolicyError, dump, load_documents, load_path
from mesh_policy.durations import parse_duration
from mesh_policy.schema.crds import istio_kinds
from mesh_policy.yaml_text import written
from tests.support import istio_cases as cases
from tests.support.schema_documents import documents

SHARED = Path(__file__).resolve().parents[4] / "shared"
SCHEMAS = SHARED / "istio-api" / "customresourcedefinitions.gen.yaml"
SAMPLES = SHARED / "istio-samples"
NO_SCHEMAS = "the official schemas are not beside the project, at ../shared/istio-api"
NO_SAMPLES = "Istio's samples are not beside the project, at ../shared/istio-samples"


def definition(kind: type[Policy]) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for found in yaml.load_all(SCHEMAS.read_text(encoding="utf-8"), Loader=loader):
        if found and (found["spec"]["group"], found["spec"]["names"]["kind"]) == (kind.GROUP, kind.KIND):
            return dict(found)
    raise AssertionError(kind)


def loads_again(text: str) -> list[Policy]:
    """The policies of a text, after a look that what is written of them is read as the same, and written the same."""
    policies = load_documents(text)
    written = dump(policies)
    assert load_documents(written) == policies
    assert dump(load_documents(written)) == written
    return policies


def missing(read: Any, written: Any, path: str = "spec") -> list[str]:
    """What was read and is not written, but for what means nothing: null, and another spelling of a value."""
    if isinstance(read, dict) and isinstance(written, dict):
        return [
            found
            for key, value in read.items()
            if value is not None and key not in ("jwks_uri", "mirror_percent")
            for found in (missing(value, written[key], f"{path}.{key}") if key in written else [f"{path}.{key}"])
        ]
    if isinstance(read, list) and isinstance(written, list):
        pairs = zip(read, written, strict=len(read) == len(written))
        return [found for number, pair in enumerate(pairs) for found in missing(*pair, f"{path}[{number}]")]
    return (
        []
        if read == written or same_duration(read, written) or number(read, written)
        else [f"{path}: {read!r} is {written!r}"]
    )


def number(read: Any, written: Any) -> bool:
    return isinstance(read, float) and isinstance(written, int) and read == written


def same_duration(read: Any, written: Any) -> bool:
    try:
        return isinstance(parse_duration(read), timedelta) and parse_duration(read) == parse_duration(written)
    except (ValueError, TypeError, AttributeError):
        return False


@pytest.mark.skipif(not SCHEMAS.exists(), reason=NO_SCHEMAS)
@pytest.mark.parametrize("kind", istio_kinds(), ids=lambda kind: kind.KIND)
def test_documents_at_random(kind: type[Policy]) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(documents(definition(kind), kind.VERSIONS[0]))
    def check(document: dict[str, Any]) -> None:
        try:
            (policy,) = loads_again(written(document))
        except PolicyError:
            return
        assert missing(document["spec"], policy.to_document()["spec"]) == []

    check()


@pytest.mark.parametrize("kind", cases.KINDS)
def test_cases(kind: str) -> None:
    accepted, refused = cases.cases(kind)
    for spec in accepted:
        (policy,) = loads_again(written(cases.document(kind, spec)))
        assert missing(json.loads(json.dumps(spec)), policy.to_document()["spec"]) == [], spec
    for spec in refused:
        with pytest.raises(PolicyError):
            raise AssertionError(load_documents(written(cases.document(kind, spec))))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=NO_SAMPLES)
def test_samples() -> None:
    policies = load_path(SAMPLES)
    assert len(policies) > 20
    assert load_documents(dump(policies)) == policies


def test_every_kind_has_cases() -> None:
    assert {kind.KIND for kind in KINDS.values() if kind.GROUP.endswith("istio.io")} == set(cases.KINDS)
