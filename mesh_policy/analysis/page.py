"""The page on analysis, made of the table of codes: ``python -m mesh_policy.analysis.page [--check]``."""

import argparse
import sys
from pathlib import Path

from mesh_policy.analysis.codes import CODES, LEFT_OUT

PAGE = Path(__file__).resolve().parents[2] / "docs" / "analysis.md"
BEGIN, END = (
    "<!-- The tables below are made by `python -m mesh_policy.analysis.page`. -->",
    "<!-- End of the tables. -->",
)


def tables() -> str:
    """The codes that can be found, and those that never are."""
    lines = ["| Code | Level | Name | Meaning |", "| --- | --- | --- | --- |"]
    for code in CODES.values():
        shown = f"[{code.code}]({code.documentation})" if code.documentation else code.code
        lines.append(f"| {shown} | {code.level.name.capitalize()} | {code.name} | {code.meaning} |")
    lines += ["", "Codes of Istio's that are never found here:", "", "| Code | Reason |", "| --- | --- |"]
    lines += [f"| {code} | {reason} |" for code, reason in LEFT_OUT.items()]
    return "\n".join(lines)


def rendered(page: str) -> str:
    """The page with its tables made anew. Raises :class:`ValueError` when it has no place for them."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for the tables: {BEGIN} and {END}")
    return f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}"


def main() -> None:
    """Write the page, or with ``--check`` end with 1 when it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when the page is stale")
    check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    made = rendered(page)
    if check and made != page:
        sys.stderr.write(f"{PAGE.name} is stale; run python -m mesh_policy.analysis.page\n")
        sys.exit(1)
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
