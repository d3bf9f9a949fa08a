"""What we are made of, and what is known against it: bills of materials (CycloneDX) and ``pip-audit``, from the locks."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshwright_tools import separate_environments
from meshwright_tools.checkout import Checkout, here
from meshwright_tools.locks import LOCKS
from meshwright_tools.progress import Progress, StepError

UNREACHABLE = re.compile(
    r"ConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|Max retries exceeded|Could not connect|"
    r"Connection refused"
)
FOLDER = Path("dist", "sbom")
"""Where the bills are put, below the checkout."""


@dataclass(frozen=True)
class GoModule:
    """A Go module of this checkout, from which something is built; ``name`` is that of its bill."""

    name: str
    folder: Path
    why: str


GO_MODULES = (
    GoModule("pulumi-cli", Path("tools", "pulumi-cli"), "what Pulumi is built from, where it is no release"),
    GoModule("kubernetes", Path("tools", "kubernetes"), "what Kubernetes and etcd are built from (make images)"),
    GoModule(
        "kubernetes-previous",
        Path("tools", "kubernetes", "previous"),
        "what Kubernetes of the minor version before is built from (make images)",
    ),
    GoModule("cni-plugins", Path("tools", "kubernetes", "cni"), "what CNI plugins are built from (make images)"),
    GoModule("flannel", Path("tools", "kubernetes", "flannel"), "what flannel is built from (make images)"),
    GoModule("coredns", Path("tools", "kubernetes", "coredns"), "what CoreDNS is built from (make images)"),
    GoModule(
        "addons",
        Path("tools", "kubernetes", "addons"),
        "what MetalLB, local-path-provisioner and metrics-server are built from (make images)",
    ),
    GoModule("kwok", Path("tools", "kwok"), "what plays the nodes of a cluster of tests and make bench-control"),
)


@dataclass(frozen=True)
class Finding:
    """A vulnerability of a locked package."""

    lock: str
    package: str
    version: str
    identity: str
    """Such as ``PYSEC-2025-1`` or ``CVE-2025-1``."""
    mended_in: tuple[str, ...]

    def __str__(self) -> str:
        mend = f"take {' or '.join(self.mended_in)}" if self.mended_in else "no version mends it yet"
        return f"requirements/{self.lock}.txt: {self.package} {self.version}: {self.identity}; {mend}"


@dataclass(frozen=True)
class Report:
    """What an audit has found; packages of which the index knew nothing are told, and are no findings."""

    findings: tuple[Finding, ...]
    audited: int
    unknown: tuple[str, ...]
    """For each package that could not be audited, why."""


def read_report(lock: str, text: str) -> Report:
    """The report of ``pip-audit --format json`` on a lock."""
    findings: list[Finding] = []
    unknown: list[str] = []
    packages: list[dict[str, Any]] = json.loads(text)["dependencies"]
    for package in packages:
        if "skip_reason" in package:
            unknown.append(str(package["skip_reason"]))
        for found in package.get("vulns", ()):
            mended_in = tuple(map(str, found.get("fix_versions", ())))
            findings.append(Finding(lock, package["name"], package["version"], str(found["id"]), mended_in))
    return Report(tuple(findings), len(packages) - len(unknown), tuple(unknown))


def unreachable(stderr: str) -> str | None:
    """What ``pip-audit`` says when it cannot ask the index; ``None``: it failed for another reason."""
    lines = [line.strip() for line in stderr.splitlines() if UNREACHABLE.search(line)]
    return lines[-1][:300] if lines else None


def go_modules(module: str, sums: str) -> dict[str, Any]:
    """The bill of what a ``go.mod`` requires (from Go 1.17 on it names all of it) and puts in the place of what it requires,
    with the checksums of its ``go.sum``; what is a folder of this checkout is left out.
    The kind of a sum, ``h1``, is a SHA-256 over the files of a module: https://go.dev/ref/mod#go-sum-files."""
    known = dict(re.findall(r"^(\S+ \S+) (h1:\S+)$", sums, re.MULTILINE))
    required = dict(re.findall(r"^(?:require)?\s+(\S+) (v\S+)(?: // indirect)?$", module, re.MULTILINE))
    replaced = re.findall(r"^(?:replace)?\s+(\S+)(?: v\S+)? => (\S+) (v\S+)$", module, re.MULTILINE)
    ours = re.findall(r"^(?:replace)?\s+(\S+)(?: v\S+)? => \.\S*$", module, re.MULTILINE)
    # Go ignores what is put in the place of something that is not required.
    taken = {name: (name, version) for name, version in required.items() if name not in ours}
    taken |= {name: (other, version) for name, other, version in replaced if name in required}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": [
            {
                "type": "library",
                "bom-ref": f"{name}@{version}",
                "name": name,
                "version": version,
                "purl": f"pkg:golang/{name}@{version}",
                "properties": [{"name": "go.sum", "value": known[f"{name} {version}"]}],
            }
            for name, version in sorted(taken.values())
        ],
    }


def bills(checkout: Checkout, progress: Progress) -> list[Path]:
    """Write one for each lock, and one for each Go module; the same locks give the same bytes."""
    program = separate_environments.ensure("audit", checkout, progress) / "bin" / "cyclonedx-py"
    folder = checkout.root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for lock in LOCKS:
        target = folder / f"{lock.name}.cdx.json"
        command = [str(program), "requirements", str(checkout.requirements / f"{lock.name}.txt"), "--of", "JSON"]
        command += ["--pyproject", str(checkout.root / "pyproject.toml"), "--output-reproducible", "-o", str(target)]
        progress.run(f"{FOLDER / target.name}: {lock.why}", command, checkout.logs / f"sbom-{lock.name}.log")
        made.append(target)
    for module in GO_MODULES:
        target, source = folder / f"{module.name}.cdx.json", checkout.root / module.folder
        with progress.step(f"{FOLDER / target.name}: {module.why}"):
            bill = go_modules((source / "go.mod").read_text(), (source / "go.sum").read_text())
            target.write_text(json.dumps(bill, indent=2) + "\n")
        made.append(target)
    return made


def audit(checkout: Checkout, progress: Progress) -> Report:
    """Ask the index what it knows of every locked package. Raises :class:`StepError` when the program fails."""
    program = separate_environments.ensure("audit", checkout, progress) / "bin" / "pip-audit"
    reports = []
    for lock in LOCKS:
        file = checkout.requirements / f"{lock.name}.txt"
        command = [str(program), "-r", str(file), "--require-hashes", "--disable-pip", "--format", "json"]
        with progress.step(f"requirements/{lock.name}.txt: {lock.why}"):
            told = subprocess.run(
                [*command, "--progress-spinner", "off"],
                capture_output=True,
                text=True,
                check=False,
                env=dict(os.environ),
            )
        try:
            reports.append(read_report(lock.name, told.stdout))
        except (ValueError, KeyError) as error:
            if (reason := unreachable(told.stderr)) is None:
                raise StepError(f"pip-audit on {file} says no report: {told.stderr.strip()[-2000:] or error}") from None
            reports.append(Report((), 0, (f"{file.name}: {reason}",)))
    return Report(
        tuple(finding for report in reports for finding in report.findings),
        sum(report.audited for report in reports),
        tuple(reason for report in reports for reason in report.unknown),
    )


def main() -> int:
    """``tools/supply_chain sbom|audit``. Exit status of ``audit``: 1 on vulnerabilities; an index that knows nothing of any
    package is told, and is none."""
    parser = argparse.ArgumentParser(prog="tools/supply_chain", description="Lists and audits the locked packages.")
    parser.add_argument("what", choices=("sbom", "audit"))
    checkout, progress = here(), Progress()
    try:
        if parser.parse_args().what == "sbom":
            for made in bills(checkout, progress):
                print(made.relative_to(checkout.root))
            return 0
        report = audit(checkout, progress)
    except StepError as error:
        print(f"tools/supply_chain: {error}", file=sys.stderr)
        return 1
    for finding in report.findings:
        print(finding)
    if report.unknown:
        print(f"{len(report.unknown)} could not be audited, the first one: {report.unknown[0]}")
    print(f"{report.audited} audited, {len(report.findings)} vulnerabilities")
    return 1 if report.findings else 0
