"""Every setting, its default, and why. Read from variables that begin with ``ASKFIRST_`` or from ``ASKFIRST_FILE``.

It opens nothing and makes nothing: what has to exist at the first start is made by ``main``. No secret has a default.
"""

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.duration import seconds_of


def _data_dir() -> Path:
    """Where state belongs: the system's place for root, the user's own for anybody else."""
    if os.geteuid() == 0:
        return Path("/var/lib/askfirst")
    return Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local/state")) / "askfirst-server"


def _duration(value: object) -> object:
    """Read ``15m`` as seconds; a bare number is seconds already."""
    seconds = seconds_of(value.strip()) if isinstance(value, str) else None
    return value if seconds is None else seconds


def _off_or_calm(seconds: float) -> float:
    if 0 < seconds < 10:
        raise ValueError("0 for never, or at least 10s")
    return seconds


_FILE = os.environ.get("ASKFIRST_FILE") or None
Duration = Annotated[float, BeforeValidator(_duration)]


def _addresses(text: str) -> str:
    for each in filter(None, text.split(",")):
        ipaddress.ip_network(each)  # its own words say what is wrong
    return text


def _site(url: str) -> str:
    """Return the address of a site, without a slash at its end. Raises ValueError where links cannot begin with it."""
    parts = urlsplit(url.strip().rstrip("/"))
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or any(parts[2:]):
        raise ValueError("write it as https://askfirst.example.org, with its scheme and without a path")
    return f"{parts.scheme}://{parts.netloc}"


class Settings(BaseSettings):
    """One installation's settings. Unknown variables with our prefix are left alone: other programs may own them."""

    model_config = SettingsConfigDict(env_prefix="ASKFIRST_", env_file=_FILE, extra="ignore")

    data_dir: Path = Field(default_factory=_data_dir, description="Database, SSH key and lock; mode 0700.")
    database_url: str = Field("", description="An SQLAlchemy URL; empty: SQLite in the data directory.")
    base_url: Annotated[str, AfterValidator(_site)] = Field(
        "http://127.0.0.1:8770", description="How people reach the pages; every link begins with it."
    )
    listen: str = Field("127.0.0.1:8770", description="Loopback by default: a reverse proxy adds TLS.")
    trusted_proxies: Annotated[str, AfterValidator(_addresses)] = Field(
        "", description="Proxies that say who asks (X-Forwarded-For): addresses or networks, with commas."
    )
    ssh_key: Path | None = Field(None, description="Private key for hosts; one is made in the data directory if unset.")
    signer_socket: Path | None = Field(
        None, description="Where `askfirst signer` answers, for hosts with certificates."
    )
    source_addresses: Annotated[str, AfterValidator(_addresses)] = Field(
        "", description="For certificates: where hosts see us come from, with commas; empty: as each connection has it."
    )
    vault_addr: str = Field("", description="Vault's URL, in place of a signer of our own, such as https://vault:8200.")
    vault_mount: str = Field("ssh", description="Where its SSH secrets engine is mounted.")
    vault_role: str = Field("askfirst", description="The engine's role that signs for us.")
    vault_token_file: Path | None = Field(None, description="A file with Vault's token, read for each certificate.")
    vault_role_id: str = Field("", description="An AppRole's id, where there is no token file.")
    vault_secret_id_file: Path | None = Field(None, description="A file with that AppRole's secret id.")
    vault_ca_file: Path | None = Field(None, description="Who vouches for Vault's TLS; unset: the system's CAs.")
    role: Literal["all", "web", "worker"] = Field("all", description="What this process does.")
    anchor_file: Path = Field(
        Path(), description="Where the log's anchor is appended; better on another machine: see Backup."
    )
    anchor_every: Duration = Field(60, ge=1, le=86_400, description="How often the log is anchored where it has grown.")
    step_up_seconds: float = Field(300, ge=30, description="How old a sign-in may be when somebody approves.")
    proof_max_age_seconds: float = Field(120, ge=10, description="How old a proof may be when somebody approves.")
    probe_timeout_seconds: float = Field(
        20, ge=1, le=600, description="A host that takes longer counts as unreachable."
    )
    run_timeout_seconds: float = Field(900, ge=10, description="How long a run is followed before it is looked up.")
    settle_timeout_seconds: float = Field(60, ge=5, description="How long a service may take to come back.")
    by_hand_seconds: float = Field(3600, ge=60, description="How long a person has to restart a manual service.")
    kit_cooldown_seconds: int = Field(
        60, ge=0, le=86_400, description="Least time between two restarts of a service, kept by a host with the kit."
    )
    kit_runs_per_hour: int = Field(12, ge=1, le=3600, description="Most restarts in an hour on a host with the kit.")
    lease_seconds: float = Field(
        20,
        ge=2,
        le=600,
        description="How long a replica that died in mid-step is waited for; a living one renews its claim.",
    )
    # Often enough to find what is wrong before somebody needs it; a probe of a crowded host costs it half a second.
    sweep_every: Annotated[Duration, AfterValidator(_off_or_calm)] = Field(
        900,
        ge=0,
        le=86_400,
        description="How often each host is looked at unasked, such as 15m; 0: never.",
    )
    sweep_grace: Duration = Field(
        300, ge=0, description="How much later than that a proof still counts as fresh: hosts wait for each other."
    )
    sweep_hosts_at_once: int = Field(
        8,
        ge=1,
        le=16,
        description="How many hosts are swept at once: of the 20 that connect at once the rest is clicks'.",
    )

    # Long enough for the owner of a stolen session to notice a key that they did not add.
    new_key_seconds: Duration = Field(
        86_400,
        ge=0,
        le=2_592_000,
        description="How long a new key may not approve yet, once it is confirmed, such as 24h.",
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_no_file(cls, given: Any) -> Any:
        """Refuse a file that is not there: without its settings this would be another, empty installation."""
        if _FILE and not Path(_FILE).expanduser().is_file():
            raise ValueError(f"ASKFIRST_FILE names {_FILE}, where there is no file")
        return given

    @model_validator(mode="after")
    def _fill(self) -> Self:
        if not self.database_url:
            self.database_url = f"sqlite+aiosqlite:///{self.data_dir / 'askfirst.db'}"
        if self.ssh_key is None:
            self.ssh_key = self.data_dir / "ssh_key"
        if self.anchor_file == Path():
            self.anchor_file = self.data_dir / "anchor"
        if self.vault_addr and self.signer_socket:
            raise ValueError("set ASKFIRST_SIGNER_SOCKET or ASKFIRST_VAULT_ADDR, not both")
        if self.vault_addr and not (self.vault_token_file or self.vault_role_id):
            raise ValueError("ASKFIRST_VAULT_ADDR needs ASKFIRST_VAULT_TOKEN_FILE or ASKFIRST_VAULT_ROLE_ID")
        return self
