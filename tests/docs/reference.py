"""Writes docs/reference/*.md from the code: `python tests/docs/reference.py`.

What the code says of itself is taken from there. What it does not say, what to do about an error and what a column of
`sync_runs` holds, is written here, and a name that is missing is a KeyError.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import dlt
from dlt.common.destination.capabilities import DataTypeMapper

import dashly.errors
import dashly_state.errors
import dashly_warehouse.errors
from dashly.tables import BOOKKEEPING_NOTES, RESOURCE_TABLES, TABLES, Table
from dashly_sync import run_log
from dashly_sync.cli import cli
from dashly_sync.exits import Exit, exit_for
from dashly_sync.settings import SETTINGS, Setting, UsageError

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
COMMAND = ".venv/bin/python tests/docs/reference.py"
NOTICE = f"<!-- Generated from the code by `{COMMAND}`; change the code, then run it. -->"


def pages() -> dict[str, str]:
    """Returns the text of each page by its file name."""
    blocks = {
        "commands.md": commands_page(),
        "settings.md": settings_page(),
        "tables.md": tables_page(),
        "errors.md": errors_page(),
    }
    return {name: "\n\n".join([NOTICE, *of_page]) + "\n" for name, of_page in blocks.items()}


# ---- commands.md ----------------------------------------------------------------------------------------------------


def commands_page() -> Iterator[str]:
    """Yields the blocks of the page of commands, in the order of the alphabet."""
    tree: Mapping[str, Any] = cli.to_info_dict(click.Context(cli, info_name="dashly-sync"))
    yield "# Commands"
    yield "stdout is the result, stderr is progress and warnings. `dashly-sync COMMAND --help` says the same."
    yield from _help(tree["help"])
    commands = list(_commands(tree, "dashly-sync"))
    yield "\n".join(f"* [`{path}`](#{_anchor(path)}): {_first_line(one['help'])}" for path, one in commands)
    yield "Settings that most commands share are explained once, in [settings.md](settings.md)."
    for path, one in commands:
        yield f"## `{path}`"
        yield from _help(one["help"])
        yield from _parameters(one["params"])
    yield "## Exit codes"
    notes = attribute_docstrings(Exit)
    rows = ((str(int(code)), f"`{code.name}`", _exit_note(code, notes)) for code in Exit)
    yield _table(("exit", "name", "meaning"), rows)


def _commands(group: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yields each command that can be run, with its whole name."""
    for name, one in sorted(group["commands"].items()):
        if one["hidden"]:
            continue
        if "commands" in one:
            yield from _commands(one, f"{path} {name}")
        else:
            yield f"{path} {name}", one


def _help(text: str | None) -> Iterator[str]:
    r"""Yields the paragraphs of a help text; what click is told to leave alone (`\b`) is an example."""
    for paragraph in inspect.cleandoc(text or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield f"```sh\n{_as_shell(paragraph.removeprefix(chr(8)).strip())}\n```"
        else:
            yield paragraph


def _as_shell(block: str) -> str:
    """Returns the lines as a shell takes them: what a line says before its command becomes a comment.

    Example:
        >>> _as_shell("The first: dashly-sync run")
        '# The first:\\ndashly-sync run'
    """
    lines = []
    for line in block.splitlines():
        said, colon, command = line.partition(": ")
        talks = colon and "dashly-sync" not in said and "dashly-sync" in command
        lines += [f"# {said.strip()}:", command.strip()] if talks else [line]
    return "\n".join(lines)


def _parameters(params: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields the arguments of a command in words and its options as a table."""
    arguments = [one for one in params if one["param_type_name"] == "argument"]
    options = [one for one in params if one["param_type_name"] == "option" and not one["hidden"]]
    options = [one for one in options if "--help" not in one["opts"]]
    if arguments:
        words = (f"`{one['name'].upper()}`{'' if one['required'] else ' (may be left out)'}" for one in arguments)
        yield "Takes " + ", ".join(words) + "."
    if options:
        yield _table(("option", "value", "default", "environment", "meaning"), map(_option, options))


def _option(option: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    """Returns the row of an option; a setting's default and environment are the setting's own."""
    flags = ", ".join(f"`{flag}`" for flag in (*option["opts"], *option["secondary_opts"]))
    note, value = option["help"] or "", _value(option)
    setting = next(
        (one for one in SETTINGS if one.flag in option["opts"] and note.startswith(f"{one.help} [{one.environment}")),
        None,
    )
    if setting is not None:
        return flags, value, _default(setting), _code(setting.environment), setting.help
    silent = option["is_flag"] or option["count"] or option["default"] is None
    return flags, value, "" if silent else _code(str(option["default"])), _code(option["envvar"]), note


def _value(option: Mapping[str, Any]) -> str:
    """Returns what may follow the flag; nothing for a switch."""
    kind = option["type"]
    if option["is_flag"] or option["count"]:
        return ""
    if "choices" in kind:
        return ", ".join(f"`{choice}`" for choice in kind["choices"])
    low, high = kind.get("min"), kind.get("max")
    if low is not None:
        return f"{low:,} or more" if high is None else f"{low:,} to {high:,}"
    return str(kind["name"])


def attribute_docstrings(kind: type) -> dict[str, str]:
    """Returns the docstring under each attribute of a class: Python itself does not keep them."""
    (body,) = ast.parse(inspect.getsource(kind)).body
    statements = body.body if isinstance(body, ast.ClassDef) else []
    found = {}
    for statement, below in itertools.pairwise(statements):
        if isinstance(statement, ast.Assign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            (target,) = statement.targets
            found[ast.unparse(target)] = inspect.cleandoc(str(below.value.value))
    return found


def _exit_note(code: Exit, notes: Mapping[str, str]) -> str:
    """A shell counts a signal from 128, so what such a code means needs no docstring."""
    if code.name not in notes and code > 128:
        return f"Stopped by {code.name}; a `run` commits what it has read first."
    return notes[code.name]


# ---- settings.md ----------------------------------------------------------------------------------------------------


def settings_page() -> Iterator[str]:
    """Yields the blocks of the page of settings."""
    yield "# Settings"
    yield (
        "The first of these that has a value wins:\n\n"
        "1. the command-line flag,\n"
        "2. the `DASHLY_*` environment variable,\n"
        "3. dlt's configuration under `[sources.dashly]`: `SOURCES__DASHLY__KEY` in the environment, then\n"
        "   `.dlt/secrets.toml`, then `.dlt/config.toml` in the working directory,\n"
        "4. the default.\n\n"
        "With `--app NAME`, all of `[sources.dashly.apps.NAME]` comes between 1 and 2: [apps.md](../apps.md)."
    )
    rows = (
        (f"`{one.flag}`" if one.flag else "none", _code(one.environment), _code(one.key), _default(one), one.help)
        for one in SETTINGS
    )
    yield _table(("flag", "environment", "dlt key", "default", "meaning"), rows)
    yield (
        "What masks do: [masking.md](../masking.md). Metrics, log and webhook: [monitoring.md](../monitoring.md).\n\n"
        "The token, the mask key and the webhook have no flag on purpose. A Postgres "
        "URI with a password belongs where the token does: into "
        "`DASHLY_DESTINATION`\nor `.dlt/secrets.toml`, where `ps` does not show it."
    )
    yield "## `.dlt/secrets.toml`"
    yield "What nobody else may read (`chmod 600`), and no repository may hold:"
    yield f"```toml\n{secrets_example()}\n```"
    yield "## `.dlt/config.toml`"
    yield "Everything else. Each line shows the default; only what differs needs to be there:"
    yield f"```toml\n{config_example()}\n```"


def secrets_example() -> str:
    """Returns an example of `.dlt/secrets.toml`."""
    return (
        '[sources.dashly]\nauth_token = "app.KEY.SECRET"\n# mask_key = "what openssl rand -hex 32 said"\n'
        '# webhook = "https://hooks.slack.com/services/…"\n'
        '# destination = "postgresql://USER:PASSWORD@HOST:5432/DATABASE"'
    )


def config_example() -> str:
    """Returns an example of `.dlt/config.toml`, with every setting that is no secret."""
    lines = (
        f"{one.key} = {_toml(one.default)}" if one.default else f'# {one.key} = "{EXAMPLES[one.key]}"'
        for one in SETTINGS
        if not one.secret
    )
    return "\n".join(["[sources.dashly]", *lines])


EXAMPLES = {
    "auth_token_file": "/run/credentials/dashly-sync/token",
    "auth_token_keyring": "dashly/sync",
    "mask_key_file": "/run/credentials/dashly-sync/mask-key",
    "state_dir": "/var/lib/dashly-sync",
    "snapshot": "/srv/dashly_read.duckdb",
    "metrics_file": "/var/lib/node_exporter/dashly.prom",
    "mask": "pii,users.name=redact",
}
"""What a setting without a default may be."""


def _toml(value: str) -> str:
    """Returns a number as it is, text in quotes."""
    return value if re.fullmatch(r"\d+(\.\d+)?", value) else f'"{value}"'


def _default(setting: Setting) -> str:
    without = {
        "auth_token": "required, here or in one of the next two",
        "auth_token_file": "none",
        "auth_token_keyring": "none",
        "mask_key_file": "none",
        "state_dir": "the platform's user state directory",
        "snapshot": "none is published",
        "metrics_file": "none is written",
        "webhook": "nobody is told",
        "mask": "nothing is masked",
        "mask_key": "required where masks hash",
    }
    return without[setting.key] if setting.default is None else _code(setting.default)


# ---- tables.md ------------------------------------------------------------------------------------------------------


RUN_NOTES = {
    "run_id": "Id of the run",
    "started_at": "When it began",
    "finished_at": "When it ended; null while it goes on, and for one that was killed",
    "outcome": "`running` (or killed), `finished`, `request limit`, `time limit`, `signal` or `failed`",
    "requests": "Requests sent, retries among them",
    "rate_limited": "How many of them the API answered with 429",
    "reread": "How many of them read what was known already, for edits, removals and silent changes",
    "records": "Rows loaded into all tables but `sync_progress`",
    "slices": "Load packages that the run consisted of",
    "waited_seconds": "Time spent waiting for the request budget",
    "backlog": "Parents with children known to be missing when it ended",
    "error": "Why it failed",
    "_synced_at": "When the row was written",
}


def tables_page() -> Iterator[str]:
    """Yields the blocks of the page of tables."""
    yield "# Tables"
    yield (
        "Ids are text: 64-bit ids do not survive pandas, spreadsheets or JavaScript. Times are in UTC with\n"
        "microseconds. `user_id` is always Dashly's own id, the one in `users.id`; the customer's own is\n"
        "`users.external_id`."
    )
    names = (*TABLES, run_log.TABLE)
    yield "\n".join(f"* [`{name}`](#{_anchor(name)}): {_description(name)}" for name in names)
    yield "## Columns of every table"
    yield f"At the end of each table but `{run_log.TABLE}`, which has `_synced_at` alone:"
    sample = next(iter(TABLES.values())).columns()
    yield _columns_table((name, sample[name], note) for name, note in BOOKKEEPING_NOTES.items())
    yield (
        "dlt keeps tables of its own, whose names begin with `_dlt_`. Except on DuckDB it also adds `_dlt_id` and\n"
        "`_dlt_load_id`, the package that brought the row."
    )
    for table in TABLES.values():
        yield from _section(table)
    yield f"## `{run_log.TABLE}`"
    yield f"{_description(run_log.TABLE)}."
    yield "Key: `run_id`."
    yield _columns_table((name, run_column(name), note) for name, note in RUN_NOTES.items())


def run_column(name: str) -> dict[str, Any]:
    """Returns dlt's hints for a column of `sync_runs`."""
    return {"name": name, "data_type": run_log._TYPES[name]}


def _section(table: Table) -> Iterator[str]:
    yield f"## `{table.name}`"
    yield f"{table.description}."
    facts = ["Key: " + ", ".join(f"`{column}`" for column in table.key)]
    if table.parents:
        facts.append("Parents: " + ", ".join(f"`{column}` → `{parent}.id`" for column, parent in table.parents.items()))
    fillers = [resource for resource, tables in RESOURCE_TABLES.items() if table.name in tables]
    facts.append("Filled by: " + ", ".join(f"`{resource}`" for resource in fillers))
    yield "  \n".join(f"{fact}." for fact in facts)
    columns = table.columns()
    yield _columns_table((name, columns[name], columns[name]["description"]) for name in table.types)


def _columns_table(columns: Iterable[tuple[str, Mapping[str, Any], str]]) -> str:
    rows = (
        (f"`{name}`", *(f"`{type_on(database, hints)}`" for database in ("duckdb", "postgres")), note)
        for name, hints, note in columns
    )
    return _table(("column", "DuckDB", "Postgres", "what it is"), rows)


def type_on(database: str, hints: Mapping[str, Any]) -> str:
    """Returns the type that dlt gives the column there, as people write it."""
    column: Any = dict(hints)
    return plain_type(_type_mapper(database).to_destination_type(column, {"name": "any", "columns": {}}))


@functools.cache
def _type_mapper(database: str) -> DataTypeMapper:
    destination = {"duckdb": dlt.destinations.duckdb, "postgres": dlt.destinations.postgres}[database]()
    mapper: DataTypeMapper = destination.capabilities().get_type_mapper()
    return mapper


def plain_type(written: str) -> str:
    """Returns the short name of a type that a database or dlt spells out.

    Example:
        >>> plain_type("timestamp (6) with time zone"), plain_type("character varying"), plain_type("BIGINT")
        ('timestamptz', 'varchar', 'bigint')
    """
    short = {"timestamp with time zone": "timestamptz", "character varying": "varchar"}
    lower = written.lower().replace(" (6)", "")
    return short.get(lower, lower)


def _description(table: str) -> str:
    return "One row a run, written with each of its slices" if table == run_log.TABLE else TABLES[table].description


# ---- errors.md ------------------------------------------------------------------------------------------------------


ERROR_MODULES: tuple[tuple[ModuleType, str], ...] = (
    (dashly.errors, "Between dashly-sync and the API."),
    (dashly_state.errors, "What is known on this machine: the request budget, the page journal, locks."),
    (dashly_warehouse.errors, "Between dashly-sync and the warehouse. No message holds a password."),
)
ENDS_NO_RUN = ("RecordGone", "RecordForbidden", "Stopped")
"""Errors that a run deals with: a record is skipped, a limit or signal ends it well."""
WHAT_TO_DO = {
    "SettingsError": "Mend the setting that the message names.",
    "InvalidArgument": "Mend the value that the message names.",
    "AccessError": "Create a token in Dashly under Settings > Developers, or mend the app id.",
    "RecordGone": "Nothing: what was read of it stays, and it is asked for again when its list shows it.",
    "RecordForbidden": "Nothing: the next run asks for it again. For a whole list it becomes an `AccessError`.",
    "RequestRefused": "Check the base URL (https, host, `/v1`), then run `dashly-sync check`.",
    "ApiUnavailable": "Run again when the API answers; what was read is loaded.",
    "Uncertain": "Look in Dashly whether it is done; send it again only if it is not.",
    "RateLimited": "Give this job a token of its own; the next run continues where this one stopped.",
    "ApiChanged": "Run `dashly-sync check`; if it agrees, the API has changed and dashly-sync has to follow.",
    "SchemaChanged": "Look at what is new, then run once with `--schema-contract evolve`.",
    "Stopped": "Nothing: the next run goes on.",
    "BudgetError": "See that the state directory has space and is yours to write; until then no request starts.",
    "PushLedgerError": "Put a backup of the ledger in its place; nothing is sent without one that can be read.",
    "JournalError": "See that the state directory has space and is yours to write, or choose another one.",
    "StateDiskFull": "Make room on the disk of the state directory and run again.",
    "RunLockHeld": "Wait for the run that the message names, or end it.",
    "StateDirectoryError": "Choose a folder that is yours to write: `--state-dir` or `DASHLY_STATE_DIR`.",
    "DestinationError": "Run `dashly-sync check`. What was fetched is kept, the next run continues.",
    "DestinationConfigError": "Mend `--to` or `--dataset` as the message says.",
    "DestinationUnavailable": "Mend what the message names (server, rights, disk, open file) and run again.",
    "QueryError": "Mend the SQL; for an unknown table the message names those that exist.",
    "UsageError": "Mend the setting that the message names.",
}


def errors_page() -> Iterator[str]:
    """Yields the blocks of the page of errors."""
    yield "# Errors"
    yield (
        "A message says what happened, where, and what to do next, without a traceback and without the token. A\n"
        "traceback means a defect in dashly-sync, and exit code 1. All codes are in\n"
        "[commands.md](commands.md#exit-codes). A run that fails has loaded what it read before, and the next one\n"
        "continues there. Where the exit is `none`, the error ends no run."
    )
    for module, about in ERROR_MODULES:
        yield f"## `{module.__name__}`"
        yield about
        (root,) = (kind for kind in _errors(module) if kind.__base__ is Exception)
        yield "```text\n" + "\n".join(_tree(root, _errors(module))) + "\n```"
        yield _error_table(one for one in _errors(module) if one is not root)
    yield "## The command line"
    yield "A flag that does not exist or has no such value ends in exit code 2 too, with click's own message."
    yield _error_table([UsageError])


def _errors(module: ModuleType) -> list[type[Exception]]:
    """Returns the errors that a module defines, in its order."""
    own = (kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return [kind for kind in own if kind.__module__ == module.__name__]


def _tree(kind: type[Exception], known: Sequence[type[Exception]], indent: str = "") -> Iterator[str]:
    """Yields the lines of the tree of errors below `kind`, itself first."""
    yield kind.__name__
    children = [one for one in known if one.__base__ is kind]
    for child in children:
        branch, below = ("└── ", "    ") if child is children[-1] else ("├── ", "│   ")
        first, *more = _tree(child, known)
        yield f"{indent}{branch}{first}"
        yield from (f"{indent}{below}{line}" for line in more)


def _error_table(errors: Iterable[type[Exception]]) -> str:
    rows = ((f"`{one.__name__}`", _first_line(one.__doc__), _exit_of(one), WHAT_TO_DO[one.__name__]) for one in errors)
    return _table(("error", "what happened", "exit", "what to do"), rows)


def _exit_of(error: type[Exception]) -> str:
    """Returns the exit code of a run that ends in the error, asked of the code that decides it."""
    if error.__name__ in ENDS_NO_RUN:
        return "none"
    code = exit_for(error("", "") if error is not UsageError else error(""))
    return "1" if code is None else str(int(code))


# ---- Markdown -------------------------------------------------------------------------------------------------------


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a Markdown table; a bar in a cell is escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _first_line(text: str | None) -> str:
    return inspect.cleandoc(text or "").partition("\n")[0]


def _anchor(heading: str) -> str:
    """Returns the anchor that GitHub gives a heading of letters, blanks, hyphens and underscores."""
    return heading.lower().replace(" ", "-")


def main() -> None:
    """Rewrites the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
