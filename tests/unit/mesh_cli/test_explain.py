"""What flags and lines of access logs say."""

import contextlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mesh_cli.access_lines import FIELDS, MEANINGS, LineError, parse
from mesh_cli.commands import app
from mesh_cli.flags import FLAGS, details_meaning
from mesh_control.compiler.defaults import ACCESS_LOG_FORMAT
from mesh_proxy import errors
from mesh_proxy.errors import LocalReply

EVERY_FLAG = [
    "LH", "UH", "UT", "LR", "UR", "UF", "UC", "UO", "NR", "DI", "FI", "RL", "UAEX", "RLSE", "DC", "URX", "SI", "IH", "DPE",
    "UMSDR", "RFCF", "NFCF", "DT", "UPE", "NC", "OM", "DF", "DO",
]  # fmt: skip
"""Envoy's whole set."""
LINE = (
    '[2026-11-25T21:00:00.000Z] "GET /reviews/1 HTTP/1.1" 503 NC cluster_not_found - "-" 0 0 1 - "-" "curl/8" '
    '"11111111-1111-4111-8111-111111111111" "reviews:9080" "-" outbound|9080|v9|reviews.default.svc.cluster.local - '
    "240.240.0.1:9080 10.0.0.1:40000 - beta"
)
POLICIES = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-admin, namespace: shop}
spec:
  action: DENY
  rules:
  - to: [{operation: {paths: [/x]}}]
  - to: [{operation: {paths: [/admin]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
  - name: beta
    route: [{destination: {host: reviews, subset: v9}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews, subsets: [{name: v1}]}
"""


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["explain", *words])
    return result.exit_code, result.stdout, result.stderr


def test_every_flag_has_meaning_causes_and_mend() -> None:
    assert sorted(FLAGS) == sorted(EVERY_FLAG)
    assert all(m.means and m.causes and m.look and m.mend and m.name for m in FLAGS.values())


def test_every_answer_of_the_proxy_is_known() -> None:
    replies = [value for value in vars(errors).values() if isinstance(value, LocalReply)]
    replies += [errors.connect_failure("Connection refused", True), errors.connection_timeout(False)]
    replies += [
        errors.reset(errors.TERMINATION, False),
        errors.protocol_error("x"),
        errors.bad_request("http1.codec_error"),
    ]
    for reply in replies:
        assert details_meaning(reply.details), reply
        assert all(flag in FLAGS for flag in reply.flags.split(",") if flag not in ("", "-")), reply


def test_the_fields_are_those_of_the_format_that_proxies_write() -> None:
    assert len(re.findall(r"%[^%]+%", ACCESS_LOG_FORMAT)) - 2 == len(
        FIELDS
    )  # method, path and protocol are one in quotes
    assert set(FIELDS) <= set(MEANINGS)


@pytest.mark.parametrize("word", ["UH", "uh", "NoHealthyUpstream", "URX,UF"])
def test_a_flag_is_told_by_any_of_its_names(word: str) -> None:
    code, out, _ = run(word)
    assert code == 0
    assert "mend" in out


def test_a_line_is_told_field_by_field() -> None:
    code, out, _ = run(LINE)
    assert code == 0
    assert "to reviews.default.svc.cluster.local, port 9080, subset v9" in out
    assert "NC NoClusterFound" in out
    assert "add the subset to the DestinationRule" in out
    assert "user_agent" in out


def test_a_line_as_json_is_the_same() -> None:
    fields = {
        "response_code": 503,
        "response_flags": "NC",
        "response_code_details": "cluster_not_found",
        "method": "GET",
        "x": 1,
    }
    code, out, _ = run(json.dumps(fields), "-o", "json")
    found = json.loads(out)
    assert (code, found["fields"]["response_code"], list(found["flags"])) == (0, "503", ["NC"])


def test_policies_behind_it_are_named_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(POLICIES)
    _, out, _ = run(LINE, "-f", str(file))
    assert f"VirtualService default/reviews at {file}:17: its route beta was taken" in out
    assert f"DestinationRule default/reviews at {file}:23: has no subset v9, but v1" in out
    _, out, _ = run("rbac_access_denied_matched_policy[ns[shop]-policy[deny-admin]-rule[1]]", "-f", str(file))
    assert f"AuthorizationPolicy shop/deny-admin at {file}:9: rule 1 matched" in out


def test_of_a_denial_the_conditions_that_failed_are_told(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: readers, namespace: shop}\n"
        "spec:\n  rules:\n  - to: [{operation: {methods: [GET]}}]\n"
    )
    line = "rbac_access_denied_matched_policy[none]{ns[shop]-policy[readers]-rule[0]:method}"
    _, out, _ = run(line, "-f", str(file))
    assert "no rule of them held; what failed first: ns[shop]-policy[readers]-rule[0]:method" in out
    assert f"AuthorizationPolicy shop/readers at {file}:6: rule 0 did not hold: method failed first" in out


@pytest.mark.parametrize(
    ("details", "told"),
    [
        ("jwt_authn_access_denied{Jwt_is_expired}", "the token was refused: Jwt is expired"),
        ("rbac_access_denied_matched_policy[none]", "ALLOW policies select the workload, and no rule of them held"),
        (
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}",
            "no connection to the host, delayed connect error: Connection refused",
        ),
    ],
)
def test_details_are_told(details: str, told: str) -> None:
    assert details_meaning(details) == told


@pytest.mark.parametrize("text", ["hello", "[half a line", "{}", "{", "XX"])
def test_what_is_neither_ends_with_2(text: str) -> None:
    code, _, errors_ = run(text)
    assert code == 2
    assert "flags are" in errors_


@given(st.text())
def test_any_text_is_a_line_or_none(text: str) -> None:
    with contextlib.suppress(LineError):
        assert all(value for value in parse(text).values())
