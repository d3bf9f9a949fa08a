"""What stands on the pages: their blocks of code, their files, the commands that they show with what these print."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ([\w.-]+\.\w+)\n")


@dataclass(frozen=True)
class Block:
    """A block of code. One that begins with the comment ``# NAME.EXTENSION`` is the file of that name."""

    page: Path
    place: int
    language: str
    text: str

    @property
    def id(self) -> str:
        """For the names of tests."""
        return f"{self.page.name}-{self.language}-{self.place}"

    @property
    def file(self) -> str | None:
        """Its name where it is a file, which the other examples of the page may read."""
        found = _FILE.match(self.text)
        return found[1] if found else None

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Of a session at a shell: each line after ``$ ``, and what is shown below it."""
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)[1:]
        return list(zip(parts[::2], parts[1::2], strict=True))


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of a page in that language, in their order."""
    found = [text for name, text in _BLOCK.findall(page.read_text()) if name == language]
    return [Block(page, place, language, text) for place, text in enumerate(found)]


def write_files(page: Path, folder: Path) -> None:
    """Make the folder what the page's examples expect: its files, and the project's examples below ``examples``."""
    (folder / "examples").symlink_to(ROOT / "examples")
    for language in ("yaml", "python", "ini"):
        for block in blocks(page, language):
            if block.file is not None:
                (folder / block.file).write_text(block.text)
