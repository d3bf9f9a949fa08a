"""Client of the control plane's API on its Unix socket."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote


class ControlError(RuntimeError):
    """The control plane refused, or could not be reached. ``status`` is the HTTP status, 0 when there was none."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ControlClient:
    """Talks to the socket at ``path``."""

    path: Path

    async def apply(self, owner: str, text: str, seconds: float) -> dict[str, Any]:
        """Make the documents the owner's whole set; with ``seconds``, wait for every proxy."""
        answer = await self._call("PUT", f"{_path('policies', owner)}?wait={seconds:g}", text, seconds)
        return dict(answer)

    async def delete(self, owner: str, seconds: float) -> dict[str, Any]:
        """Take all of the owner's policies away."""
        return dict(await self._call("DELETE", f"{_path('policies', owner)}?wait={seconds:g}", None, seconds))

    async def get(self, owner: str) -> str:
        """The owner's policies as YAML."""
        return str(await self._call("GET", _path("policies", owner)))

    async def status(self) -> dict[str, Any]:
        """What each proxy was sent and has taken."""
        return dict(await self._call("GET", "/status"))

    async def proxy_config(self, proxy: str) -> dict[str, Any]:
        """What a connected proxy, ``NAME.NAMESPACE``, was sent and has taken, in the shape of Envoy's ``/config_dump``."""
        return dict(await self._call("GET", f"{_path('proxies', proxy)}/config"))

    async def world(self) -> dict[str, Any]:
        """Everything in force: the policies of every owner as YAML, and the services and workloads that are known."""
        return dict(await self._call("GET", "/world"))

    async def rollouts(self) -> dict[str, Any]:
        """Every release by name."""
        return dict(await self._call("GET", "/rollouts"))

    async def rollout(self, name: str) -> dict[str, Any]:
        """Where a release is."""
        return dict(await self._call("GET", _path("rollouts", name)))

    async def start_rollout(self, text: str) -> dict[str, Any]:
        """Begin a release, given as the JSON of :class:`mesh_policy.releases.machine.Rollout`."""
        return dict(await self._call("POST", "/rollouts", text, 60.0))

    async def order_rollout(self, name: str, order: str, reason: str = "") -> dict[str, Any]:
        """Give a release an order: ``pause``, ``resume``, ``promote`` or ``abort``."""
        return dict(
            await self._call("POST", f"{_path('rollouts', name)}/{order}?reason={quote(reason, safe='')}", None, 60.0)
        )

    async def remove_rollout(self, name: str) -> None:
        """Forget a release that has ended, and take its policies away."""
        await self._call("DELETE", _path("rollouts", name), None, 60.0)

    async def authority(self) -> dict[str, Any]:
        """Who signs certificates and who is trusted, until when."""
        return dict(await self._call("GET", "/ca"))

    async def trust_bundle(self) -> str:
        """Every root that is trusted, in PEM."""
        return str(await self._call("GET", "/ca/bundle"))

    async def certificates(self) -> list[dict[str, Any]]:
        """Every certificate that has not expired: to whom, upon which proof, until when."""
        return list(await self._call("GET", "/ca/certificates"))

    async def rotate_authority(self) -> dict[str, Any]:
        """Make a new root, which signs when everybody trusts it."""
        return dict(await self._call("POST", "/ca/rotate", None, 60.0))

    async def distrust(self, root: str, *, confirmed: bool) -> dict[str, Any]:
        """What it breaks to trust a root no more; where that is ``confirmed``, it is done."""
        return dict(await self._call("POST", f"{_path('ca/distrust', root)}?confirmed={int(confirmed)}", None, 60.0))

    async def tokens(self) -> list[dict[str, Any]]:
        """Every join token, without its secret."""
        return list(await self._call("GET", "/tokens"))

    async def create_token(self, identity: str, seconds: float, uses: int, note: str = "") -> dict[str, Any]:
        """A join token; its text is in this answer only. ``identity``: see :class:`mesh_control.ca.tokens.Grant`."""
        asked = {"identity": identity, "seconds": seconds, "uses": uses, "note": note}
        return dict(await self._call("POST", "/tokens", json.dumps(asked), 60.0))

    async def revoke_token(self, name: str, *, renewals: bool) -> dict[str, Any]:
        """Make a join token good for nothing; with ``renewals``, what was issued upon it is not renewed, either."""
        return dict(await self._call("DELETE", f"{_path('tokens', name)}?renewals={int(renewals)}", None, 60.0))

    async def wait(self, seconds: float) -> dict[str, Any]:
        """Wait until every connected proxy has taken the newest world."""
        return dict(await self._call("GET", f"/wait?wait={seconds:g}", None, seconds))

    async def _call(self, method: str, target: str, body: str | None = None, seconds: float = 0.0) -> Any:
        import aiohttp  # slow to import: `mesh status --help` needs none of it
        from yarl import URL

        timeout = aiohttp.ClientTimeout(total=seconds + 30)
        connector = aiohttp.UnixConnector(path=str(self.path))
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.request(method, URL(f"http://control{target}", encoded=True), data=body) as answer,
            ):
                content = await (answer.json() if answer.content_type == "application/json" else answer.text())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ControlError(
                f"the control plane does not answer on {self.path}: {error}; does mesh-control run, and may you open it?"
            ) from None
        if answer.status >= 400:
            raise ControlError("\n".join(_problems(content)) or str(answer.reason), answer.status)
        return content


def _path(kind: str, name: str) -> str:
    """The path of something of that name. Every character is escaped that would change which path it is, dots included."""
    return f"/{kind}/{quote(name, safe='').replace('.', '%2E')}"


def _problems(content: Any) -> list[str]:
    if not isinstance(content, dict):
        return [str(content).strip()]
    waiting = [f"{name} has not taken the newest configuration" for name in content.get("waiting", ())]
    return [*map(str, content.get("problems", ())), *waiting]
