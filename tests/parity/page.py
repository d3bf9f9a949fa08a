"""The page on parity, made of the case files: ``python -m tests.parity.page [--check]``."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.parity.case_files import Case, CaseFile, features, of_feature

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"
BEGIN, END = (
    "<!-- The tables below are made by `python -m tests.parity.page`. -->",
    "<!-- End of the tables. -->",
)


def tables(folders: Iterable[tuple[str, list[CaseFile]]]) -> str:
    """How many cases each feature has, and every difference with its reason."""
    known = list(folders)
    lines = ["| Feature | Cases | Equal | Differ on purpose | Open |", "| --- | ---: | ---: | ---: | ---: |"]
    total: Counter[str] = Counter()
    for folder, files in known:
        counted = Counter(kind_of(file, case) for file in files for case in file.cases)
        total += counted
        lines.append(_row(folder, counted))
    lines.append(_row("**all**", total))
    for title, kind in (("What differs on purpose", "differs"), ("What is open", "open")):
        lines += ["", f"## {title}", "", "| Feature | What | Cases | Reason |", "| --- | --- | ---: | --- |"]
        for folder, files in known:
            lines += [
                f"| {folder} | {what} | {count} | {reason} |"
                for (what, reason), count in Counter(_told(files, kind)).items()
            ]
    return "\n".join(lines)


def kind_of(file: CaseFile, case: Case) -> str:
    """``open`` where something is to be mended, ``differs`` where something is otherwise on purpose, else ``equal``."""
    if file.refused or case.faults:
        return "open"
    return "differs" if case.differs or case.stricter else "equal"


def _row(name: str, counted: Counter[str]) -> str:
    numbers = (counted.total(), counted["equal"], counted["differs"], counted["open"])
    return f"| {name} | " + " | ".join(map(str, numbers)) + " |"


def _told(files: list[CaseFile], kind: str) -> Iterator[tuple[str, str]]:
    """What is said of each case, and why."""
    for file in files:
        for case in file.cases:
            if kind == "open":
                if file.refused:
                    yield "the configuration is refused", file.refused
                yield from ((f"`{what}`", reason) for what, reason in case.faults.items())
            elif case.stricter:
                yield "refused with 400", case.stricter
            else:
                yield from ((f"`{what}`", reason) for what, reason in case.differs.items())


def rendered(page: str) -> str:
    """The page with its tables made anew. Raises :class:`ValueError` when it has no place for them."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for the tables: {BEGIN} and {END}")
    made = tables((folder, of_feature(folder)) for folder in features())
    return f"{head}{BEGIN}\n\n{made}\n\n{END}{tail}"


def main() -> None:
    """Write the page, or with ``--check`` end with 1 when it is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 when the page is stale")
    check = parser.parse_args().check
    page = PAGE.read_text(encoding="utf-8")
    made = rendered(page)
    if check and made != page:
        sys.stderr.write(f"{PAGE.name} is stale; run python -m tests.parity.page\n")
        sys.exit(1)
    PAGE.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
