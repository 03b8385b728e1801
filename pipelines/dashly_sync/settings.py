"""The settings of a command: flag, then environment, then dlt's configuration, then default."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dashly_state.budget import RateLimit
from dashly_warehouse.business_hours import DEFAULT as DEFAULT_HOURS
from dashly_warehouse.business_hours import BusinessHours

DEFAULT_DESTINATION = "duckdb:///dashly_warehouse.duckdb"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting under its three names."""

    key: str
    """dlt's key in `[sources.dashly]`, and the name in Python."""
    environment: str
    flag: str | None
    default: str | None
    help: str
    secret: bool = False
    """Whether dlt takes it from secrets, and nobody shows it."""
    repeatable: bool = False
    """Whether the flag may be given several times; elsewhere commas separate the values."""


SETTINGS = (
    Setting("auth_token", "DASHLY_AUTH_TOKEN", None, None, "API token; no flag, as a command line shows in `ps`", True),
    Setting("app_id", "DASHLY_APP_ID", "--app-id", "$self_app", "App id; $self_app is the token's own"),
    Setting("base_url", "DASHLY_BASE_URL", "--base-url", "https://api.dashly.app/v1", "Base URL, ends in /v1"),
    Setting("rate_limit", "DASHLY_RATE_LIMIT", "--rate-limit", "60/60", "Requests / seconds"),
    Setting("destination", "DASHLY_DESTINATION", "--to", DEFAULT_DESTINATION, "duckdb:///FILE or postgresql://…"),
    Setting("dataset_name", "DASHLY_DATASET", "--dataset", "dashly", "Schema that receives the tables"),
    Setting("reconcile_share", "DASHLY_RECONCILE_SHARE", "--reconcile-share", "0.1", "Share for reading again"),
    Setting("business_hours", "DASHLY_BUSINESS_HOURS", "--business-hours", DEFAULT_HOURS, "What the views count by"),
    Setting("schema_contract", "DASHLY_SCHEMA_CONTRACT", "--schema-contract", "evolve", "Or freeze: refuse new fields"),
    Setting("snapshot", "DASHLY_SNAPSHOT", "--snapshot", None, "Read copy of a DuckDB file that `run` publishes"),
    Setting("state_dir", "DASHLY_STATE_DIR", "--state-dir", None, "Request budget, page journal, locks"),
    Setting("mask", "DASHLY_MASK", "--mask", None, "Mask what is personal: pii, users.email=hmac, …", False, True),
    Setting("mask_key", "DASHLY_MASK_KEY", None, None, "Key of the hashes that masks make; no flag either", True),
)  # fmt: skip


class UsageError(Exception):
    """A setting that makes no sense, with the mend."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What every command knows. Neither the token nor the mask key ever shows in its repr."""

    auth_token: str = field(default="", repr=False)
    app_id: str = "$self_app"
    base_url: str = "https://api.dashly.app/v1"
    rate_limit: RateLimit = field(default_factory=lambda: RateLimit(60, 60.0))
    destination: str = DEFAULT_DESTINATION
    dataset_name: str = "dashly"
    reconcile_share: float = 0.1
    business_hours: BusinessHours = field(default_factory=lambda: BusinessHours.parse(DEFAULT_HOURS))
    schema_contract: str = "evolve"
    snapshot: Path | None = None
    state_dir: Path | None = None
    mask: str = ""
    mask_key: str = field(default="", repr=False)


def resolve_settings(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Returns the settings in force.

    Args:
        flags: By key; None where the flag was not given.
        environ: `os.environ` when None.

    Raises:
        UsageError: A value makes no sense; says which, what was seen and what would be valid.
    """
    environ = os.environ if environ is None else environ
    found = {one.key: _first(one, flags, environ) for one in SETTINGS}
    return Settings(
        auth_token=str(found["auth_token"] or ""),
        app_id=str(found["app_id"]),
        base_url=str(found["base_url"]),
        rate_limit=_rate_limit(str(found["rate_limit"])),
        destination=str(found["destination"]),
        dataset_name=str(found["dataset_name"]),
        reconcile_share=_share(str(found["reconcile_share"])),
        business_hours=_hours(str(found["business_hours"])),
        schema_contract=_contract(str(found["schema_contract"])),
        snapshot=Path(str(found["snapshot"])).expanduser() if found["snapshot"] else None,
        state_dir=Path(str(found["state_dir"])) if found["state_dir"] else None,
        mask=_joined(found["mask"]),
        mask_key=str(found["mask_key"] or ""),
    )


def _first(setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    if flags.get(setting.key) not in (None, "", ()):
        return flags[setting.key]
    if environ.get(setting.environment):
        return environ[setting.environment]
    configured = _from_dlt(setting)
    return setting.default if configured in (None, "") else configured


def _from_dlt(setting: Setting) -> Any:
    """Returns what `.dlt/config.toml`, `.dlt/secrets.toml` or `SOURCES__DASHLY__*` say; None when they do not."""
    import dlt  # 0.5 s to import: not for --help

    source = dlt.secrets if setting.secret else dlt.config
    return source.get(f"sources.dashly.{setting.key}")


def _joined(value: Any) -> str:
    """Returns several values as one, as the environment has them: a flag that was repeated, a list of TOML."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _rate_limit(written: str) -> RateLimit:
    try:
        return RateLimit.parse(written)
    except ValueError as error:
        raise UsageError(f"--rate-limit: {error}") from None


def _share(written: str) -> float:
    try:
        share = float(written)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(f"--reconcile-share: a share is a number from 0 to 1, such as 0.1, not {written!r}")
    return share


def _contract(written: str) -> str:
    if written not in ("evolve", "freeze"):
        raise UsageError(f"--schema-contract: it is evolve or freeze, not {written!r}")
    return written


def _hours(written: str) -> BusinessHours:
    try:
        return BusinessHours.parse(written)
    except ValueError as error:
        raise UsageError(f"--business-hours: {error}") from None
