"""What this machine says about names: its servers and search list (``resolv.conf(5)``), and its own hosts (``hosts(5)``)."""

import ipaddress
import os
from typing import Final

Server = tuple[str, int]
Name = str | os.PathLike[str]
"""Of a file."""
_PORT: Final = 53
_MOST_SERVERS: Final = 3
_MOST_DOTS: Final = 15


class NameService:
    """Servers in their order, domains that are tried behind a name, and the rest of ``resolv.conf``'s options."""

    __slots__ = ("attempts", "dots", "hosts", "search", "servers", "timeout")

    def __init__(self, resolv_conf: str, hosts: str) -> None:
        """From the texts of the two files; lines that say nothing that is known say nothing."""
        self.servers: list[Server] = []
        self.search: list[str] = []
        self.dots: int = 1
        self.timeout: float = 5.0
        self.attempts: int = 2
        self.hosts: dict[str, list[str]] = {}
        for line in resolv_conf.splitlines():
            words = line.split("#")[0].split(";")[0].split()
            if len(words) > 1:
                self._take(words[0], words[1:])
        if not self.servers:
            self.servers.append(("127.0.0.1", _PORT))
        for line in hosts.splitlines():
            words = line.split("#")[0].split()
            for name in words[1:]:
                if _is_address(words[0]):
                    self.hosts.setdefault(name.lower(), []).append(words[0])

    def _take(self, key: str, values: list[str]) -> None:
        if key == "nameserver" and len(self.servers) < _MOST_SERVERS and _is_address(values[0].split("%")[0]):
            self.servers.append((values[0], _PORT))
        elif key in ("search", "domain"):
            self.search = [value.removesuffix(".").lower() for value in values if value != "."]
        elif key == "options":
            for option in values:
                name, _, number = option.partition(":")
                if number.isdigit():
                    self._option(name, int(number))

    def _option(self, name: str, number: int) -> None:
        if name == "ndots":
            self.dots = min(number, _MOST_DOTS)
        elif name == "timeout":
            self.timeout = float(min(max(number, 1), 30))
        elif name == "attempts":
            self.attempts = min(max(number, 1), 5)

    def names(self, name: str) -> list[str]:
        """The whole names that a name may stand for, in the order in which they are tried."""
        if name.endswith("."):
            return [name[:-1]]
        longer = [f"{name}.{domain}" for domain in self.search]
        return [name, *longer] if name.count(".") >= self.dots else [*longer, name]


class Files:
    """The two files, read again when they are others."""

    def __init__(self, resolv_conf: Name = "/etc/resolv.conf", hosts: Name = "/etc/hosts") -> None:
        self._paths = (resolv_conf, hosts)
        self._seen: tuple[tuple[int, int], ...] = ()
        self._made = NameService("", "")

    def read(self) -> NameService:
        """What they say now."""
        seen = tuple(_state(path) for path in self._paths)
        if seen != self._seen:
            self._seen = seen
            self._made = NameService(*(_text(path) for path in self._paths))
        return self._made


def _state(path: Name) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _text(path: Name) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
