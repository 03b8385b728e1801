"""Several apps: which settings one of them has, what is refused, and that `run --all` ends equal to their truths."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.command_line.conftest import UNLIMITED, App, Shell
from tests.conftest import Warehouse
from tests.end_to_end.conftest import assert_equal_to_truth

CONFIG = """
[sources.dashly]
dataset_name = "crm"
rate_limit = "30/60"
reconcile_share = 0.3

[sources.dashly.apps.blog]
dataset_name = "editors"
rate_limit = "10/60"

[sources.dashly.apps.shop]
"""
SECRETS = """
[sources.dashly]
auth_token = "app.0.nobodys"

[sources.dashly.apps.blog]
auth_token = "app.1.blogs"
mask_key = "blogs-key"
"""
PROGRAM = """
import json, os
from dashly_sync.apps import app_names
from dashly_sync.cli import cli
from dashly_sync.settings import Needs, resolve_settings

def said(look):
    try:
        return look()
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"

def settings(flags):
    found = resolve_settings(flags, needs=Needs.ALL)
    keys = ("app", "auth_token", "app_id", "dataset_name", "union_dataset", "rate_limit", "reconcile_share", "mask_key")
    return {{key: str(getattr(found, key)) for key in keys}}

told = []
for environ, flags, command in {cases!r}:
    before = dict(os.environ)
    os.environ.update(environ)
    look = app_names if flags is None else lambda: settings(flags)
    told.append(said(lambda: cli.main(command, standalone_mode=False)) if command else said(look))
    os.environ.clear()
    os.environ.update(before)
print(json.dumps(told))
"""
OF_SHOP = {"SOURCES__DASHLY__APPS__SHOP__AUTH_TOKEN": "app.2.shops"}


def told_of(shell: Shell, *cases: tuple[dict[str, str], dict[str, str] | None, list[str]]) -> list[Any]:
    """What one process finds for each: environment, then flags, the names of the apps without any, or a command."""
    (shell.folder / ".dlt").mkdir()
    (shell.folder / ".dlt" / "config.toml").write_text(CONFIG)
    (shell.folder / ".dlt" / "secrets.toml").write_text(SECRETS)
    ended = shell.python(PROGRAM.format(cases=cases))

    assert (0, "") == (ended.exit, ended.stderr)
    return list(json.loads(ended.stdout))


def test_an_app_has_its_own_settings_then_those_of_all_and_never_anothers_token(shell: Shell) -> None:
    everybodys = {"DASHLY_AUTH_TOKEN": "app.9.everybodys", "DASHLY_APP_ID": "9", "DASHLY_RATE_LIMIT": "20/60"}
    blog, shop = {"app": "blog"}, {"app": "shop"}
    of_blog = {
        "app": "blog", "auth_token": "app.1.blogs", "app_id": "$self_app", "dataset_name": "editors",
        "union_dataset": "crm", "rate_limit": "10/60", "reconcile_share": "0.3",
        "mask_key": "blogs-key",
    }  # fmt: skip
    own = "SOURCES__DASHLY__APPS__SHOP__"

    names, *found = told_of(
        shell,
        ({**OF_SHOP, "SOURCES__DASHLY__APPS__NEW_ONE__AUTH_TOKEN_FILE": "/token"}, None, []),
        ({}, blog, []),
        ({**everybodys, "SOURCES__DASHLY__APPS__BLOG__RATE_LIMIT": "5/60"}, {**blog, "reconcile_share": "0.5"}, []),
        ({**everybodys, **OF_SHOP}, shop, []),
        ({**OF_SHOP, f"{own}APP_ID": "7", "DASHLY_DATASET": "other"}, shop, []),
        ({**OF_SHOP, "DASHLY_DATASET": "other"}, {**shop, "dataset_name": "third", "app_id": "8"}, []),
        (everybodys, shop, []),
        ({**OF_SHOP, f"{own}AUTH_TOKEN_FILE": "/token"}, shop, []),
    )

    assert ["blog", "new_one", "shop"] == names
    assert of_blog == found[0]
    limit = {"rate_limit": "5/60"}
    assert {**of_blog, **limit, "reconcile_share": "0.5"} == found[1]
    of_shop = {**of_blog, "app": "shop", "auth_token": "app.2.shops", "dataset_name": "crm_shop", "mask_key": ""}
    assert {**of_shop, "rate_limit": "20/60"} == found[2]
    of_shop |= {"rate_limit": "30/60"}
    assert {**of_shop, "app_id": "7", "union_dataset": "other", "dataset_name": "other_shop"} == found[3]
    assert {**of_shop, "app_id": "8", "union_dataset": "third", "dataset_name": "third_shop"} == found[4]
    assert found[5].startswith("UsageError: the app shop has no token of its own, and takes none from elsewhere. Put ")
    assert "auth_token under [sources.dashly.apps.shop], or into SOURCES__DASHLY__APPS__SHOP__AUTH_TOKEN" in found[5]
    assert (
        "SettingsError: [sources.dashly.apps.shop] auth_token and auth_token_file are both given. Keep one of them"
        == found[6]
    )


def test_what_cannot_be_meant_is_refused_with_the_names(shell: Shell) -> None:
    own = "SOURCES__DASHLY__APPS__"

    found = told_of(
        shell,
        ({}, {"app": "shpo"}, []),
        ({}, {}, []),
        ({f"{own}MY__SHOP__AUTH_TOKEN": "x"}, None, []),
        ({f"{own}STAGING__AUTH_TOKEN": "x"}, None, []),
        ({f"{own}SHOP__DATASET_NAME": "editors"}, {"app": "blog"}, []),
        ({}, None, ["run"]),
        ({}, None, ["verify"]),
        ({}, None, ["status", "--html", "status.html"]),
        ({}, None, ["run", "--all", "--app", "shop"]),
        ({}, None, ["run", "--app", "blog", "--jobs", "2"]),
    )

    several = "UsageError: several apps are configured (blog, shop): say which one, as in --app blog"
    assert "UsageError: --app: there is no app 'shpo'; did you mean shop? There are: blog, shop" == found[0]
    assert several == found[1]
    assert found[2].startswith("UsageError: [sources.dashly.apps]: 'my__shop' is no name for an app")
    assert found[2].endswith("such as my_shop")
    assert found[3].endswith("such as staging_app")
    assert "UsageError: the apps blog and shop have the same dataset editors" in found[4]
    assert [several, several, several] == found[5:8]
    assert found[8].endswith("leave out --app and --app-id")
    assert found[9].endswith("add --all")


@pytest.mark.soak
def test_three_apps_into_one_duckdb_file_end_equal_to_their_truths(app: Callable[..., App], shell: Shell) -> None:
    """All at once, and the one whose token is refused stops none of them; the next run mends that one alone."""
    apps = {name: app(seed=number, auth_token=f"app.{number}.{name}s") for number, name in enumerate(NAMES, start=1)}
    nobody = shell.run("run", "--all")
    assert (2, True) == (nobody.exit, "Add a table [sources.dashly.apps.NAME] to" in nobody.stderr)
    configure(shell, apps, refused="blog")
    before = {name: served.floor for name, served in apps.items()}

    first = shell.run("run", "--all", "--to", "duckdb:///warehouse.duckdb")

    assert 3 == first.exit, first.stderr
    assert first.last_line.startswith("2 of 3 apps are well, not blog (exit 3): ")
    assert ["alpha", "blog", "shop"] == [line.partition(":")[0] for line in first.stdout.splitlines()[:3]]
    assert "blog: exit 3: users (/apps/$self_app/users): 401" in first.stdout
    assert {name: before[name] for name in ("alpha", "shop")} == {name: apps[name].cost() for name in ("alpha", "shop")}

    looked = shell.run("status", "--to", "duckdb:///warehouse.duckdb")
    assert ["WELL", "FAILING", "WELL"] == [line.split(": ")[1] for line in looked.stdout.splitlines()[:3]]
    assert "3 apps: 2 well, 1 failing." == looked.last_line
    stale = shell.run("status", "--to", "duckdb:///warehouse.duckdb", "--max-age", "1s")
    assert (0, 7) == (looked.exit, stale.exit)
    configure(shell, apps)
    second = shell.run("run", "--all", "--to", "duckdb:///warehouse.duckdb", "--json")

    assert 0 == second.exit, second.stderr
    assert ["alpha", "blog", "shop"] == [one["app"] for one in second.json]
    assert [4, before["blog"], 4] == [one["run"]["requests"] for one in second.json]
    for name, served in apps.items():
        assert_equal_to_truth(served.simulator, of_app(shell, name))
    union = dict(shell.warehouse().sql("select app, count(*) from users group by app"))
    assert {name: served.simulator.settings.users for name, served in apps.items()} == union


NAMES = ("shop", "blog", "alpha")


def of_app(shell: Shell, name: str) -> Warehouse:
    whole = shell.warehouse()
    return Warehouse(whole.kind, whole.destination, f"dashly_{name}", whole.location)


def configure(shell: Shell, apps: dict[str, App], refused: str = "") -> None:
    """Writes dlt's configuration as a user would; one app may have a token that is refused."""
    folder: Path = shell.folder / ".dlt"
    folder.mkdir(exist_ok=True)
    config, secrets = "", ""
    for name, served in apps.items():
        table = f"[sources.dashly.apps.{name}]\n"
        config += f'{table}base_url = "{served.server.base_url}"\nrate_limit = "{UNLIMITED}"\n'
        token = "app.0.wrong" if name == refused else served.simulator.settings.auth_token
        secrets += f'{table}auth_token = "{token}"\n'
    (folder / "config.toml").write_text(config)
    (folder / "secrets.toml").write_text(secrets)
