"""What pip-audit reports, read and told."""

import json

from meshwright_tools.checkout import ROOT
from meshwright_tools.supply_chain import GO_MODULE, Finding, go_modules, read_report, unreachable

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


def test_every_module_that_pulumi_is_built_from_is_told_with_its_checksum() -> None:
    module, sums = ((ROOT / GO_MODULE / name).read_text() for name in ("go.mod", "go.sum"))
    told = {part["purl"]: part["properties"][0]["value"] for part in go_modules(module, sums)["components"]}
    assert len(told) == sum(" v" in line for line in module.splitlines() if not line.startswith("//"))
    assert all(value.startswith("h1:") for value in told.values())
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
