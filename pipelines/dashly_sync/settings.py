"""The settings of a command: flag, then environment, then dlt's configuration, then default."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterator, Mapping
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
    of_run: bool = False
    """Whether `run` alone has the flag."""


SETTINGS = (
    Setting("auth_token", "DASHLY_AUTH_TOKEN", None, None, "API token; no flag, as a command line shows in `ps`", True),
    Setting("auth_token_file", "DASHLY_AUTH_TOKEN_FILE", None, None, "A file that holds the API token, chmod 600"),
    Setting("auth_token_keyring", "DASHLY_AUTH_TOKEN_KEYRING", None, None, "SERVICE/USER of the token in the keyring"),
    Setting("app_id", "DASHLY_APP_ID", "--app-id", "$self_app", "App id; $self_app is the token's own"),
    Setting("base_url", "DASHLY_BASE_URL", "--base-url", "https://api.dashly.app/v1", "Base URL, ends in /v1"),
    Setting("rate_limit", "DASHLY_RATE_LIMIT", "--rate-limit", "60/60", "Requests / seconds"),
    Setting("destination", "DASHLY_DESTINATION", "--to", DEFAULT_DESTINATION, "duckdb:///FILE or postgresql://…"),
    Setting("dataset_name", "DASHLY_DATASET", "--dataset", "dashly", "Schema that receives the tables"),
    Setting("reconcile_share", "DASHLY_RECONCILE_SHARE", "--reconcile-share", "0.1", "Share for reading again"),
    Setting("business_hours", "DASHLY_BUSINESS_HOURS", "--business-hours", DEFAULT_HOURS, "What the views count by"),
    Setting("schema_contract", "DASHLY_SCHEMA_CONTRACT", "--schema-contract", "evolve", "Or freeze: refuse new fields"),
    Setting("snapshot", "DASHLY_SNAPSHOT", "--snapshot", None, "Read copy of a DuckDB file that `run` publishes"),
    Setting("metrics_file", "DASHLY_METRICS_FILE", "--metrics-file", None, "Metrics of the last run", of_run=True),
    Setting("log_format", "DASHLY_LOG_FORMAT", "--log-format", "text", "Or json, for collectors", of_run=True),
    Setting("webhook", "DASHLY_WEBHOOK_URL", None, None, "Told when runs fail, recover or stand still; no flag", True),
    Setting("state_dir", "DASHLY_STATE_DIR", "--state-dir", None, "Request budget, page journal, locks"),
    Setting("mask", "DASHLY_MASK", "--mask", None, "Mask what is personal: pii, users.email=hmac, …", False, True),
    Setting("mask_key", "DASHLY_MASK_KEY", None, None, "Key of the hashes that masks make; no flag either", True),
    Setting("mask_key_file", "DASHLY_MASK_KEY_FILE", None, None, "A file that holds it, chmod 600"),
)  # fmt: skip


OWN_TO_AN_APP = frozenset({"auth_token", "auth_token_file", "auth_token_keyring", "app_id"})
"""What an app never takes from where all apps look: it would read another one."""


_TELLING = frozenset({"app_id", "destination", "dataset_name", "state_dir", "metrics_file", "log_format", "webhook"})


class UsageError(Exception):
    """A setting that makes no sense, with the mend."""


class Needs(enum.Flag):
    """What a command has to know of the settings before it begins."""

    NOTHING = 0
    APP = enum.auto()
    """Which app, where several are configured."""
    SECRETS = enum.auto()
    """Token and mask key are fetched from where they are; who only asks the warehouse may not be able to."""
    TOKEN = enum.auto()
    """An app without a token of its own is refused."""
    ALL = APP | SECRETS | TOKEN


@dataclass(frozen=True, slots=True)
class Settings:
    """What every command knows. Neither the token, the mask key nor the webhook ever shows in its repr."""

    app: str = ""
    """Name of the app; empty where no several apps are configured."""
    union_dataset: str = ""
    """Where the tables of all apps are together, in views; empty without an app."""
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
    metrics_file: Path | None = None
    log_format: str = "text"
    webhook: str = field(default="", repr=False)


def resolve_settings(
    flags: Mapping[str, Any], environ: Mapping[str, str] | None = None, *, needs: Needs = Needs.SECRETS
) -> Settings:
    """Returns the settings in force.

    Args:
        flags: By key; None where the flag was not given. `app` is the name of an app.
        environ: `os.environ` when None.
        needs: What has to be known.

    Raises:
        UsageError: A value makes no sense; says which, what was seen and what would be valid.
        SettingsError: The token or the mask key is not where it should be.
    """
    environ = os.environ if environ is None else environ
    app = _app(flags, environ, needs)
    found = {one.key: _first(one, flags, environ, app) for one in SETTINGS}
    dataset = _text(found["dataset_name"])
    return Settings(
        app=app,
        union_dataset=dataset if app else "",
        auth_token=_token(found, app, needs),
        app_id=_text(found["app_id"]),
        base_url=_text(found["base_url"]),
        rate_limit=_rate_limit(_text(found["rate_limit"])),
        destination=_text(found["destination"]),
        dataset_name=_dataset(app, dataset),
        reconcile_share=_share(_text(found["reconcile_share"])),
        business_hours=_hours(_text(found["business_hours"])),
        schema_contract=_contract(_text(found["schema_contract"])),
        snapshot=Path(_text(found["snapshot"])).expanduser() if found["snapshot"] else None,
        state_dir=Path(_text(found["state_dir"])) if found["state_dir"] else None,
        mask=joined(found["mask"]),
        mask_key=_mask_key(found, needs),
        metrics_file=Path(_text(found["metrics_file"])).expanduser() if found["metrics_file"] else None,
        log_format=_log_format(_text(found["log_format"])),
        webhook=_webhook(_text(found["webhook"])),
    )


def settings_for_telling(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Settings:
    """Returns what says where a failure is told, as far as it makes sense: it may be the settings that failed.

    Args:
        flags: By key; None where the flag was not given.
        environ: `os.environ` when None.
    """
    environ = os.environ if environ is None else environ
    app, told = _text(flags.get("app")), [one for one in SETTINGS if one.key in _TELLING]
    try:
        found = {one.key: _text(_first(one, flags, environ, app)) for one in told}
        dataset = _dataset(app, found["dataset_name"])
    except Exception:  # a file of dlt's that cannot be read: what flags and environment say must do
        found = {one.key: _text(flags.get(one.key) or environ.get(one.environment) or one.default) for one in told}
        dataset = found["dataset_name"]
    return Settings(
        app=app,
        app_id=found["app_id"],
        destination=found["destination"],
        dataset_name=dataset,
        state_dir=Path(found["state_dir"]) if found["state_dir"] else None,
        metrics_file=Path(found["metrics_file"]).expanduser() if found["metrics_file"] else None,
        log_format="json" if found["log_format"] == "json" else "text",
        webhook=found["webhook"] if found["webhook"].startswith(("https://", "http://")) else "",
    )


def said_settings(flags: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns what is said of the settings of all apps, as text by key; what has its default is left out.

    Args:
        flags: By key; None where the flag was not given.
        environ: `os.environ` when None.
    """
    environ = os.environ if environ is None else environ
    said = {one: joined(_first(one, flags, environ, "")) for one in SETTINGS}
    return {one.key: value for one, value in said.items() if value not in ("", one.default)}


def joined(value: Any) -> str:
    """Returns several values as one, as the environment has them: a flag that was repeated, a list of TOML."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value or "")


def _app(flags: Mapping[str, Any], environ: Mapping[str, str], needs: Needs) -> str:
    from dashly_sync.apps import app_names, known_app

    app = str(flags.get("app") or "")
    if app:
        known_app(app, environ)
    elif needs & Needs.APP and (names := app_names(environ)):
        raise UsageError(f"several apps are configured ({', '.join(names)}): say which one, as in --app {names[0]}")
    return app


def _dataset(app: str, union_dataset: str) -> str:
    from dashly_sync.apps import app_datasets

    return app_datasets(union_dataset)[app] if app else union_dataset


def _token(found: Mapping[str, Any], app: str, needs: Needs) -> str:
    from dashly.tokens import find_token
    from dashly_sync.apps import where_to_put

    if not needs & Needs.SECRETS:
        return ""
    where = f"[sources.dashly.apps.{app}] " if app else ""
    token, file, keyring = (_text(found[key]) for key in ("auth_token", "auth_token_file", "auth_token_keyring"))
    token = find_token(token, file, keyring, where)
    if app and not token and needs & Needs.TOKEN:
        raise UsageError(f"the app {app} has no token of its own, and takes none from elsewhere. {where_to_put(app)}")
    return token


def _mask_key(found: Mapping[str, Any], needs: Needs) -> str:
    from dashly.tokens import find_key

    return find_key(_text(found["mask_key"]), _text(found["mask_key_file"])) if needs & Needs.SECRETS else ""


def _first(setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], app: str) -> Any:
    levels = _levels(setting, flags, environ, app)
    return next((value for value in levels if value not in (None, "", ())), setting.default)


def _levels(setting: Setting, flags: Mapping[str, Any], environ: Mapping[str, str], app: str) -> Iterator[Any]:
    """Yields what is said of the setting, beginning with what counts most."""
    yield flags.get(setting.key)
    if app and setting.key != "dataset_name":  # which is the app's alone, where the others name the one for all apps
        yield _from_dlt(setting, f"apps.{app}.")
    if not app or setting.key not in OWN_TO_AN_APP:
        yield environ.get(setting.environment)
        yield _from_dlt(setting)


def _from_dlt(setting: Setting, table: str = "") -> Any:
    """Returns what `.dlt/config.toml`, `.dlt/secrets.toml` or `SOURCES__DASHLY__*` say; None when they do not."""
    import dlt  # 0.5 s to import: not for --help

    source = dlt.secrets if setting.secret else dlt.config
    return source.get(f"sources.dashly.{table}{setting.key}")


def _text(value: Any) -> str:
    return "" if value is None else str(value)


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


def _log_format(written: str) -> str:
    if written not in ("text", "json"):
        raise UsageError(f"--log-format: it is text or json, not {written!r}")
    return written


def _webhook(written: str) -> str:
    """Returns it as it is; a message about it must not show it, as who has the address can write there."""
    if written and not written.startswith(("https://", "http://")):
        raise UsageError("DASHLY_WEBHOOK_URL is no address that begins with https:// or http://")
    return written


def _hours(written: str) -> BusinessHours:
    try:
        return BusinessHours.parse(written)
    except ValueError as error:
        raise UsageError(f"--business-hours: {error}") from None
