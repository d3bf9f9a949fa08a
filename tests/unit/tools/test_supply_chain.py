"""What pip-audit reports, read and told."""

import json

import pytest
from meshwright_tools.checkout import ROOT
from meshwright_tools.supply_chain import GO_MODULES, Finding, GoModule, go_modules, read_report, unreachable

REPORT = {
    "dependencies": [
        {"name": "good", "version": "1.0", "vulns": []},
        {
            "name": "bad",
            "version": "2.0",
            "vulns": [
                {"id": "PYSEC-2025-1", "fix_versions": ["2.1", "3.0"], "aliases": ["CVE-2025-1"], "description": "..."},
                {"id": "PYSEC-2025-2", "fix_versions": [], "aliases": [], "description": "..."},
            ],
        },
        {"name": "strange", "skip_reason": "Dependency not found on PyPI and could not be audited: strange (1)"},
    ],
    "fixes": [],
}


def test_vulnerabilities_and_what_is_not_known_are_kept_apart() -> None:
    report = read_report("host", json.dumps(REPORT))
    assert report.findings == (
        Finding("host", "bad", "2.0", "PYSEC-2025-1", ("2.1", "3.0")),
        Finding("host", "bad", "2.0", "PYSEC-2025-2", ()),
    )
    assert (report.audited, report.unknown) == (2, (REPORT["dependencies"][2]["skip_reason"],))  # type: ignore[index]
    assert list(map(str, report.findings)) == [
        "requirements/host.txt: bad 2.0: PYSEC-2025-1; take 2.1 or 3.0",
        "requirements/host.txt: bad 2.0: PYSEC-2025-2; no version mends it yet",
    ]


@pytest.mark.parametrize("module", GO_MODULES, ids=lambda module: module.name)
def test_every_module_that_something_is_built_from_is_told_with_its_checksum(module: GoModule) -> None:
    text, sums = ((ROOT / module.folder / name).read_text() for name in ("go.mod", "go.sum"))
    told = {part["purl"]: part["properties"][0]["value"] for part in go_modules(text, sums)["components"]}
    required = [line for line in text.splitlines() if " v" in line and "=>" not in line and not line.startswith("//")]
    ours = [line for line in text.splitlines() if "=> ./" in line]
    assert len(told) == len(required) - len(ours)
    assert all(value.startswith("h1:") for value in told.values())


def test_every_go_module_of_the_tools_has_a_bill() -> None:
    found = {file.parent.relative_to(ROOT) for file in (ROOT / "tools").rglob("go.mod") if "without" not in file.parts}
    assert {module.folder for module in GO_MODULES} == found


def test_what_stands_in_the_place_of_a_module_is_what_is_told() -> None:
    module = "module a\n\nrequire (\n\tb.example/c v0.0.0 // indirect\n\td.example v1.0.0\n)\n\n"
    replaced = "replace (\n\tb.example/c => b.example/other v1.2.3\n\tnot.required => not.required v1.0.0\n)\n"
    told = go_modules(module + replaced, "b.example/other v1.2.3 h1:AB=\nd.example v1.0.0 h1:CD=\n")["components"]
    assert [part["purl"] for part in told] == ["pkg:golang/b.example/other@v1.2.3", "pkg:golang/d.example@v1.0.0"]
    ours = go_modules("require b.example/c v0.0.0\n\nreplace b.example/c => ./without/c\n", "")
    assert ours["components"] == []
    alone = "require b.example/c v0.0.0\n\nreplace b.example/c v0.0.0 => b.example/c v1.2.3\n"
    assert [part["version"] for part in go_modules(alone, "b.example/c v1.2.3 h1:AB=\n")["components"]] == ["v1.2.3"]


def test_a_module_is_told_by_its_name_version_and_checksum() -> None:
    small = go_modules(
        "module a\n\nrequire b.example/c v1.2.3\n", "b.example/c v1.2.3 h1:AB=\nb.example/c v1.2.3/go.mod h1:CD=\n"
    )
    assert [(part["purl"], part["properties"]) for part in small["components"]] == [
        ("pkg:golang/b.example/c@v1.2.3", [{"name": "go.sum", "value": "h1:AB="}])
    ]


def test_an_index_that_cannot_be_asked_is_told_and_other_failures_are_not_taken_for_it() -> None:
    told = "INFO: auditing\nERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed\nERROR: try again\n"
    assert unreachable(told) == "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed"
    assert unreachable("ERROR:pip_audit._cli:invalid requirements input") is None
