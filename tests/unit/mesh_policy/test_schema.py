"""The models against the official schemas of their kinds: every field, its type, its values, and whether it is required.

The schemas are data kept beside the project; without them there is nothing to test here.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh_policy import KINDS, Policy
from tests.support.schema_walk import Walk

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = ROOT.parent / "shared" / "istio-api" / "customresourcedefinitions.gen.yaml"

pytestmark = pytest.mark.skipif(
    not SCHEMAS.exists(), reason="the official schemas are not beside the project, at ../shared/istio-api"
)

STRICTER = {
    "Gateway.servers": "required: a gateway without servers opens nothing, and Istio's webhook refuses it",
    "VirtualService.tcp.route": "required: nothing else says where the connection goes; Istio's webhook refuses it too",
    "VirtualService.tls.route": "required, as for TCP",
    "DestinationRule.*.portLevelSettings.port": "required: settings for no port are for nothing",
    "DestinationRule.*.tunnel.protocol": "one of CONNECT and POST: Istio's webhook takes nothing else",
    "*.port.number": "required: there is nothing else to say about a port",
    "AuthorizationPolicy.rules.from.source": "required: an entry without says nothing; Istio's webhook refuses it",
    "AuthorizationPolicy.rules.to.operation": "required, as the source",
    "Telemetry.accessLogging.filter.expression": "required: no text is no expression of CEL; Istio's webhook refuses it",
    "VirtualService.http.redirect.scheme": "http or https: Istio's webhook takes nothing else",
    "WorkloadGroup.probe.httpGet.scheme": "HTTP or HTTPS: a rule of the schema, which is no enumeration",
    "WorkloadGroup.probe.httpGet.httpHeaders.name": "required: Istio's webhook takes no header without a name",
    "WorkloadGroup.probe.exec.command": "required: Istio's webhook asks for it",
    "VirtualService.http.rewrite.uriRegexRewrite.match": "required, together with rewrite",
    "VirtualService.http.rewrite.uriRegexRewrite.rewrite": "required, together with match",
}
"""Where a model asks for more than the schema, with the reason; ``*`` stands for any part of the path."""
ALIASES = {
    "VirtualService.http.mirror_percent": "the old spelling of mirrorPercent, which is read as such",
    "RequestAuthentication.jwtRules.jwks_uri": "the old spelling of jwksUri, which is read as such",
}
WALK = Walk(STRICTER, ALIASES)


def official() -> dict[str, dict[str, Any]]:
    """Kind to the schema of the specification, the same in every version."""
    found = {}
    for definition in yaml.safe_load_all(SCHEMAS.read_text(encoding="utf-8")):
        kind = definition["spec"]["names"]["kind"] if definition else None
        if definition and (definition["spec"]["group"], kind) in KINDS:
            specs = [
                v["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
                for v in definition["spec"]["versions"]
            ]
            assert all(spec == specs[0] for spec in specs)
            found[kind] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


@pytest.mark.parametrize("kind", [k for k in KINDS.values() if k.GROUP.endswith("istio.io")], ids=lambda k: k.KIND)
def test_the_model_is_the_schema(kind: type[Policy]) -> None:
    schema = official()[kind.KIND]
    assert sorted(WALK.differences(schema, kind.model_fields["spec"].annotation, kind.KIND)) == []
