"""Policies in a directory: ``policies/OWNER/KIND.NAMESPACE.NAME.yaml``, one object a file.

People may edit the files. One that cannot be used keeps what it last held, also over a restart
(:mod:`mesh_control.sources.accepted`); the problem is told with file and line. A whole set of an owner is replaced at once: a
crash halfway leaves the former set or the new one, and what it left half written is swept away by the next process. An
owner's folder may be a link, and a ConfigMap's mount.
"""

import hashlib
import logging
import os
import shutil
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from mesh_control.sources.accepted import Accepted
from mesh_control.sources.source import Parts
from mesh_control.sources.watching import watch
from mesh_policy import Policy, PolicyError, Problem, dump, load_documents, load_everything
from mesh_policy.files import contributes, read_file, unreadable

log = logging.getLogger("mesh_control.policies")

LONGEST_NAME = 200
"""Characters of a file's name without its ending; file systems take 255 bytes, and a copy in the making has some more."""
SETTLED = 2.0
"""Seconds since the last write to a file after which a further one is sure to give it another time: clocks of file systems
are coarse (https://git-scm.com/docs/racy-git)."""
Texts = dict[str, str]
"""File name to content."""


@dataclass(frozen=True, slots=True)
class _Good:
    """What a file last held that could be used. ``mark`` tells it from every other state of it; ``None``: nothing does."""

    text: str
    policies: list[Policy]
    mark: tuple[int, ...] | None = None


@dataclass(slots=True)
class PolicyDirectory:
    """The directory below ``root`` and what was last read from it: a :class:`~mesh_control.sources.source.Source`.

    ``refuse`` says why a policy that is valid cannot be honoured; an empty list takes it.
    """

    name: ClassVar[str] = "policies"
    synced: ClassVar[bool] = True
    root: Path
    refuse: Callable[[Policy], list[str]] = lambda policy: []
    problems: tuple[str, ...] = ()
    _last_good: dict[Path, _Good] = field(default_factory=dict)
    _paths: dict[tuple[str, str], Path] = field(default_factory=dict)
    """By folder and name, those of the last reading: a path that is looked up a second time costs a tenth."""
    _accepted: Accepted = field(init=False)

    def __post_init__(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        _sync(self.root)
        self._accepted = Accepted(self.root / "accepted.sqlite", self.path)
        self._recover()

    @property
    def path(self) -> Path:
        """Where the files are."""
        return self.root / "policies"

    async def watch(self, changed: Callable[[], None]) -> None:
        """See :class:`~mesh_control.sources.source.Source`."""
        await watch(self.path, lambda path: self.path in path.parents, changed, recursive=True)

    def read(self) -> Parts:
        """The policies of every owner. Never raises for a broken file: it keeps what it last held."""
        problems: list[str] = []
        found: dict[Path, _Good] = {}
        files = self._files(problems)
        for file in files:
            entry = self._read_file(file, problems)
            if entry is not None:
                found[file] = entry
        self._accepted.remember({file: good.text for file, good in found.items()})
        if self._accepted.problem:
            problems.append(self._accepted.problem)
        self._last_good = found
        self.problems = tuple(problems)
        policies = tuple(policy for good in found.values() for policy in good.policies)
        return Parts(policies=policies, problems=self.problems)

    def _files(self, problems: list[str]) -> list[Path]:
        """Every file of every owner; of a folder that cannot be listed those that are known from before."""
        found: dict[tuple[str, str], Path] = {}
        try:
            folders = sorted(self.path.iterdir())
        except OSError as error:
            problems.append(f"{self.path}: cannot be read: {error.strerror}; what was in it stays in force")
            return list(self._last_good)
        for folder in folders:
            if folder.name.startswith("."):
                continue
            if not folder.is_dir():
                problems.append(f"{folder}: is no owner's folder; policies are in OWNER/NAME.yaml")
                continue
            try:
                names = sorted(os.listdir(folder))
            except OSError as error:
                problems.append(f"{folder}: cannot be read: {error.strerror}; what was in it stays in force")
                known = [file.name for file in self._last_good if file.parent.name == folder.name]
                names = sorted({*known, *self._accepted.of_owner(folder.name)})
            for key in ((folder.name, name) for name in names if contributes(name)):
                found[key] = self._paths.get(key) or folder / key[1]
        self._paths = found
        return list(found.values())

    def _read_file(self, file: Path, problems: list[str]) -> _Good | None:
        known = self._last_good.get(file)
        try:
            mark = _mark(file)
            if known is not None and known.mark == mark is not None:
                return known
            text = read_file(file)
            if known is not None and known.text == text:
                return replace(known, mark=mark)
            loaded = load_everything([(str(file), text)]).policies
            reasons = [f"{file}:{item.line()}: {reason}" for item in loaded for reason in self.refuse(item.policy)]
        except PolicyError as error:
            problems += map(str, error.problems)
            return self._former(file, known)
        except Exception as error:  # a defect of ours: one file must not end what serves all others
            log.exception("%s cannot be read", file)
            problems.append(f"{file}: cannot be read: {type(error).__name__}; take away what was changed last")
            return self._former(file, known)
        if reasons:
            problems += reasons
            return self._former(file, known)
        return _Good(text, [item.policy for item in loaded], mark)

    def _former(self, file: Path, known: _Good | None) -> _Good | None:
        """What was accepted of a file that is broken now, perhaps by an earlier process. It has no mark: the problem is to be
        told each time."""
        if known is not None:
            return replace(known, mark=None)
        text = self._accepted.get(file)
        try:
            return None if text is None else _Good(text, load_documents(text, str(file)))
        except Exception:  # what was accepted by a former version, and is no more
            return None

    def of_owner(self, owner: str) -> list[Policy]:
        """The policies of one owner, as last read."""
        folder = self.path / owner
        known = sorted((file, good.policies) for file, good in self._last_good.items() if file.parent == folder)
        return [policy for _, policies in known for policy in policies]

    def owners(self) -> list[str]:
        """Everyone who has policies here."""
        return sorted({file.parent.name for file in self._last_good})

    def replace(self, owner: str, policies: Sequence[Policy]) -> None:
        """Make these the owner's whole set, at once."""
        current, new, old = self._places(owner)
        wanted = {file_name(policy): dump([policy]) for policy in policies}
        if wanted == _texts(current):
            return
        shutil.rmtree(new, ignore_errors=True)
        if wanted:
            new.mkdir()
            for name, text in wanted.items():
                _write(new / name, text)
            _sync(new)
            _sync(self.path)
        if current.exists():
            current.rename(old)
        if wanted:
            new.rename(current)
        _sync(self.path)
        shutil.rmtree(old, ignore_errors=True)

    def _places(self, owner: str) -> tuple[Path, Path, Path]:
        return self.path / owner, self.path / f".{owner}.new", self.path / f".{owner}.old"

    def _recover(self) -> None:
        """Bring a replacement to its end that a crash cut off: the old set is put aside only when the new one is whole."""
        for left in self.path.glob(".*.old"):
            current, new, _ = self._places(left.name[1 : -len(".old")])
            if new.exists() and not current.exists():
                new.rename(current)
        for left in [*self.path.glob(".*.old"), *self.path.glob(".*.new")]:
            shutil.rmtree(left, ignore_errors=True)


def file_name(policy: Policy) -> str:
    """``KIND.NAMESPACE.NAME.yaml``; of a name that no file can have, its beginning and a digest of all of it."""
    name = f"{policy.title()}.{policy.metadata.namespace}.{policy.metadata.name}"
    if len(name) > LONGEST_NAME:
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        name = f"{name[: LONGEST_NAME - len(digest) - 1]}~{digest}"
    return f"{name}.yaml"


def _texts(folder: Path) -> Texts:
    try:
        files = [file for file in _of_policies(folder) if file.is_file()]
        return {file.name: file.read_text(encoding="utf-8", errors="replace") for file in files}
    except OSError:
        return {}  # which no set equals: it is written anew


def _of_policies(folder: Path) -> list[Path]:
    """The files of a folder that have the names of policies; of one that cannot be listed none."""
    return [file for file in folder.glob("*") if contributes(file.name)]


def _mark(file: Path) -> tuple[int, ...] | None:
    """The state of somebody's file; ``None`` if it was written just now. Raises :class:`PolicyError` for what is no file: a
    pipe would be waited for until somebody writes, perhaps for ever."""
    try:
        found = file.stat()
    except OSError as error:
        raise PolicyError([unreadable(file, error)]) from None
    if not stat.S_ISREG(found.st_mode):
        raise PolicyError([Problem(str(file), 0, "cannot be read", "", "is no file; remove it")])
    if found.st_ctime > time.time() - SETTLED:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _write(path: Path, text: str) -> None:
    """Atomic: a reader sees the old content or the new, also after a loss of power."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
