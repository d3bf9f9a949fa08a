"""Settings of the control plane: a YAML file, checked before any port is opened."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


class SettingsError(ValueError):
    """The file cannot be used; the message has one line for each wrong field."""


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{value!r} is not ADDRESS:PORT, for example 127.0.0.1:15010")
    return value


Address = Annotated[str, AfterValidator(_address)]


class Settings(BaseModel):
    """The file's fields. Without ``join_token_file`` any proxy may connect, which is only allowed on loopback.

    Releases are measured by the Prometheus at ``prometheus_url``; where there is none, by the proxies' own statistics.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    xds_address: Address = "127.0.0.1:15010"
    monitoring_address: Address = "127.0.0.1:15014"
    socket: Path = Path("/run/meshwright/control.sock")
    state_dir: Path = Path("/var/lib/meshwright/control")
    inventory: Path | None = None
    join_token_file: Path | None = None
    prometheus_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+")] | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def read(path: Path) -> Settings:
    """The settings of a file. Raises :class:`SettingsError`, which names file, field and what is allowed."""
    try:
        settings = Settings.model_validate(yaml.safe_load(path.read_text()) or {})
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: {error}") from None
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, item['loc']))}: {_message(item['type'], item['msg'])}"
            for item in error.errors()
        ]
        raise SettingsError("\n".join(lines)) from None
    if settings.join_token_file is None and not settings.xds_address.startswith(("127.", "localhost:", "[::1]:")):
        raise SettingsError(
            f"{path}: xds_address: {settings.xds_address} can be reached from outside, and without join_token_file "
            f"anyone could join; set join_token_file"
        )
    return settings


def _message(kind: str, message: str) -> str:
    return "there is no such setting" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def join_token(settings: Settings) -> str | None:
    """The token that proxies must show; ``None`` when none is asked for. Raises :class:`SettingsError`."""
    if settings.join_token_file is None:
        return None
    try:
        token = settings.join_token_file.read_text().strip()
    except OSError as error:
        raise SettingsError(f"join_token_file: {error}") from None
    if len(token) < 16:
        raise SettingsError(
            f"join_token_file: {settings.join_token_file} holds fewer than 16 characters; make a longer token"
        )
    return token
