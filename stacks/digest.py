"""Digests of what a run of the playbook depends on."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def of_files(root: Path, entries: Iterable[str]) -> str:
    """Digest of the names and contents of all files below the entries (files or folders), caches left out."""
    digest = hashlib.sha256()
    for entry in entries:
        top = root / entry
        files = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else [top]
        for file in files:
            if "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(root)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def of_texts(texts: Iterable[str]) -> str:
    """Digest of texts in their order."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
