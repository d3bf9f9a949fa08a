"""Where secrets stand that everyone may read: files that others may open, every log, and the command lines of processes.

Run as a program, with nothing but Python's own library, on the machine that is searched: JSON on standard input (``secrets``,
and ``roots`` to look below), what was found as JSON on standard output. No secret is printed.
"""

import json
import os
import stat
import sys

NEVER = ("/proc", "/sys", "/dev")
LOGS = ("/var/log", "/run/log")
"""Whoever may read them: they are sent elsewhere, and kept."""
LARGEST = 64 << 20
PATTERN = tuple[bytes, ...]


def holds(path: str, secrets: PATTERN) -> bool:
    """Whether a file has one of them."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST)
    except OSError:
        return False  # it is gone, or nobody can read it
    return any(secret in content for secret in secrets)


def is_open(path: str, needed: int) -> bool:
    """Whether others may use it so."""
    try:
        return bool(os.lstat(path).st_mode & needed)
    except OSError:
        return False


def files(root: str, secrets: PATTERN) -> list[str]:
    """Files below ``root`` that others may read, or that are logs, and have one of the secrets."""
    found = []
    for folder, folders, names in os.walk(root):
        log = folder.startswith(LOGS)
        below = [os.path.join(folder, name) for name in folders]
        kept = [path for path in below if path not in NEVER and (log or is_open(path, stat.S_IXOTH))]
        folders[:] = [os.path.basename(path) for path in kept]
        for path in (os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and not os.path.islink(path) and (log or is_open(path, stat.S_IROTH)):
                found += [path] if holds(path, secrets) else []
    return found


def processes(secrets: PATTERN) -> list[str]:
    """Processes whose command line has one of the secrets: everyone may read that."""
    lines = (f"/proc/{entry}/cmdline" for entry in os.listdir("/proc") if entry.isdigit())
    return [path for path in lines if holds(path, secrets)]


def main() -> None:
    asked = json.load(sys.stdin)
    secrets = tuple(secret.encode() for secret in asked["secrets"])
    print(json.dumps([*(path for root in asked["roots"] for path in files(root, secrets)), *processes(secrets)]))


if __name__ == "__main__":
    main()
