"""Which setting counts: flag, then DASHLY_*, then dlt's configuration, then the default."""

from __future__ import annotations

import json
from typing import Any

from tests.command_line.conftest import App, Shell

from dashly_sync.settings import SETTINGS, Settings

PLAIN = [one for one in SETTINGS if one.key not in ("auth_token_file", "auth_token_keyring", "mask_key_file")]
"""All but those that say where the value of another one is, and refuse to be given together with it."""
PROGRAM = """
import json, os
from dashly_sync.settings import resolve_settings
told = []
for environ in {environs!r}:
    os.environ.update(environ)
    found = resolve_settings({{}})
    told.append({{key: str(getattr(found, key)) for key in {keys!r}}})
print(json.dumps(told))
"""
VALUES = {
    "auth_token": "app.1.level-{}",
    "app_id": "{0}{0}",
    "base_url": "http://level-{}.example/v1",
    "rate_limit": "{}/60",
    "destination": "duckdb:///level_{}.duckdb",
    "dataset_name": "level_{}",
    "state_dir": "/tmp/level-{}",
    "reconcile_share": "0.{}",
    "business_hours": "mon 0{}:00-09:00 UTC",
    "schema_contract": "freeze",
    "snapshot": "/tmp/level-{}.duckdb",
    "mask": "users.props.level {}=redact",
    "mask_key": "mask-key-of-level-{}",
    "metrics_file": "/tmp/level-{}.prom",
    "log_format": "json",
    "webhook": "http://level-{}.example/hook",
}
SECRETS = {"auth_token", "mask_key", "webhook"}


def level(number: int) -> dict[str, str]:
    """A value of each setting that tells where it comes from."""
    return {one.key: VALUES[one.key].format(number) for one in PLAIN}


def in_force(shell: Shell, *environs: dict[str, str]) -> Any:
    """The settings that a process in this shell resolves without flags, after each of these exports."""
    ended = shell.python(PROGRAM.format(environs=environs, keys=[one.key for one in PLAIN]))

    assert (0, "") == (ended.exit, ended.stderr)
    return ended.json


def test_each_level_of_settings_hides_the_ones_below(shell: Shell) -> None:
    """From the default upwards: config.toml and secrets.toml, SOURCES__DASHLY__*, DASHLY_*; flags are tested below."""
    for name in [name for name in shell.environ if name.startswith("DASHLY_")]:
        del shell.environ[name]
    defaults = {one.key: str(getattr(Settings(), one.key)) for one in PLAIN}
    assert [defaults] == in_force(shell, {})

    (shell.folder / ".dlt").mkdir()
    for file, keys in (("secrets", SECRETS), ("config", set(VALUES) - SECRETS)):
        lines = [f"{key} = {json.dumps(value)}" for key, value in level(1).items() if key in keys]
        (shell.folder / ".dlt" / f"{file}.toml").write_text("\n".join(["[sources.dashly]", *lines]))
    sources = {f"SOURCES__DASHLY__{key.upper()}": value for key, value in level(2).items()}
    ours = {one.environment: level(3)[one.key] for one in PLAIN}
    empty = dict.fromkeys(ours, "")
    assert [level(1), level(2), level(3), level(2)] == in_force(shell, {}, sources, ours, empty)


def test_a_flag_counts_most(synced: tuple[App, Shell]) -> None:
    """Shown by what the command then looks at."""
    app, shell = synced
    environ = {"DASHLY_DESTINATION": "duckdb:///nothing.duckdb", "DASHLY_DATASET": "other"}

    ended = shell.run(
        "query", "select count(*) from users", "--to", "duckdb:///warehouse.duckdb", "--dataset", "dashly",
        "--format", "csv", **environ,
    )  # fmt: skip

    assert str(app.simulator.settings.users) == ended.last_line, ended.stderr
