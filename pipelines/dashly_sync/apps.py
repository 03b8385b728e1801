"""The apps of an installation: a table `[sources.dashly.apps.NAME]` each, in dlt's configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from dashly_sync.settings import UsageError

_NAME = re.compile(r"(?!(.*_)?staging$)[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""A part of a schema's name; dlt has the schema beside a dataset whose name ends in `_staging`."""
_VARIABLE = re.compile(r"SOURCES__DASHLY__APPS__(?P<name>.+)__[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def app_names(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Returns the names of the apps that are configured, sorted.

    An app is a table `[sources.dashly.apps.NAME]` of `.dlt/config.toml` or `.dlt/secrets.toml`, or a variable
    `SOURCES__DASHLY__APPS__NAME__KEY` that is not empty, such as the app's `AUTH_TOKEN`.

    Args:
        environ: `os.environ` when None.

    Raises:
        UsageError: A name that cannot be a part of a schema's name, or something that is no table.
    """
    environ = os.environ if environ is None else environ
    names = {*_names_in_files(), *_names_in_environment(environ)}
    for name in sorted(names):
        _check(name)
    return tuple(sorted(names))


def known_app(name: str, environ: Mapping[str, str] | None = None) -> None:
    """Refuses an app that is not configured, with the nearest one that is.

    Raises:
        UsageError: It is unknown, or no app is configured at all.
    """
    names = app_names(environ)
    if name in names:
        return
    if not names:
        raise UsageError(f"--app {name}: no app is configured. {where_to_put(name)}")
    close = get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise UsageError(f"--app: there is no app {name!r}{hint} There are: {', '.join(names)}")


def app_datasets(union_dataset: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the dataset of each app: what its table says, else the common one's name with the app's own behind it.

    Raises:
        UsageError: Two apps would write into the same tables.
    """
    import dlt

    def own(app: str, key: str) -> Any:
        return dlt.config.get(f"sources.dashly.apps.{app}.{key}")

    datasets = {name: str(own(name, "dataset_name") or f"{union_dataset}_{name}") for name in app_names(environ)}
    places: dict[tuple[str, Any], str] = {}
    for name, dataset in datasets.items():
        other = places.setdefault((dataset, own(name, "destination")), name)
        if other != name:
            raise UsageError(
                f"the apps {other} and {name} have the same dataset {dataset}: give one of them another dataset_name"
            )
    return datasets


def where_to_put(name: str) -> str:
    """Returns where the token of an app belongs, as a sentence."""
    return (
        f"Put its token into .dlt/secrets.toml, as auth_token under [sources.dashly.apps.{name}], or into "
        f"SOURCES__DASHLY__APPS__{name.upper()}__AUTH_TOKEN; auth_token_file and auth_token_keyring do as well."
    )


def _names_in_environment(environ: Mapping[str, str]) -> Iterator[str]:
    found = (_VARIABLE.fullmatch(variable) for variable, value in environ.items() if value)
    return (match["name"].lower() for match in found if match is not None)


def _names_in_files() -> Iterator[str]:
    """Yields the names of the tables: dlt itself would give those of the first file that has any."""
    import dlt  # 0.5 s to import: not for --help

    for provider in dlt.config.config_providers:
        tables, _ = provider.get_value("apps", dict[str, Any], "", "sources", "dashly")
        if tables is None:
            continue
        if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
            raise UsageError(
                f"{provider.name}: under sources.dashly.apps each app is a table of its own: "
                '[sources.dashly.apps.shop], then auth_token = "…" and what else differs'
            )
        yield from tables


def _check(name: str) -> None:
    if _NAME.fullmatch(name):
        return
    better = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    better = better if better[:1].isalpha() else f"app_{better}".strip("_")
    better = better if _NAME.fullmatch(better) else f"{better}_app"
    raise UsageError(
        f"[sources.dashly.apps]: {name!r} is no name for an app, as its dataset is called by it. Use lower-case "
        f"letters, digits and single underscores, not ending in `staging`, such as {better}"
    )
