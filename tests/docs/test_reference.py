"""The promise: the pages in docs/reference say what the code does, and leave nothing out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import dlt
import pytest
from tests.conftest import Warehouse
from tests.docs import reference

from dashly.tables import BOOKKEEPING_NOTES, COLUMN_NOTES, TABLES
from dashly_sync import run_log
from dashly_sync.exits import Exit
from dashly_sync.settings import SETTINGS
from dashly_warehouse.destinations import dlt_destination, loader_file_format, parse_destination

COLUMNS = {
    **{name: table.columns() for name, table in TABLES.items()},
    run_log.TABLE: {name: reference.run_column(name) for name in reference.RUN_NOTES},
}
"""dlt's column hints, by table."""


@pytest.mark.parametrize("name", ["commands.md", "settings.md", "tables.md", "errors.md"])
def test_a_page_says_what_the_code_says(name: str) -> None:
    committed = (reference.FOLDER / name).read_text(encoding="utf-8")

    assert reference.pages()[name] == committed, f"docs/reference/{name} is out of date, run: {reference.COMMAND}"


def test_every_link_leads_somewhere() -> None:
    """Between the pages and within them."""
    pages = reference.pages()
    anchors = {
        name: {
            re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        for name, text in pages.items()
    }

    for name, text in pages.items():
        for target, anchor in re.findall(r"\]\(([\w.]*)#?([\w-]*)\)", text):
            assert not anchor or anchor in anchors[target or name]
            assert target in {"", *pages}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_says_what_it_is(table: str) -> None:
    """And nothing is said of a column that is not there. Descriptions are in `dashly.tables.COLUMN_NOTES`."""
    assert set(TABLES[table].types) == set(COLUMN_NOTES[table])
    assert set() == {name for name, hints in COLUMNS[table].items() if not hints["description"]}


def test_every_column_of_the_run_log_says_what_it_is() -> None:
    assert list(run_log._TYPES) == list(reference.RUN_NOTES)


def test_bookkeeping_columns_are_the_last_of_every_table() -> None:
    for table, columns in COLUMNS.items():
        if table != run_log.TABLE:
            assert list(BOOKKEEPING_NOTES) == list(columns)[-len(BOOKKEEPING_NOTES) :]


def test_a_description_ends_up_in_the_schema_and_changes_nothing_else() -> None:
    users = TABLES["users"]
    schema = dlt.resource([{}], name="users", **users.hints()).compute_table_schema()

    assert COLUMN_NOTES["users"]["last_seen_at"] == schema["columns"]["last_seen_at"]["description"]
    assert {"name", "data_type", "nullable", "primary_key", "description"} == set(schema["columns"]["id"])


def test_the_types_are_those_of_a_real_warehouse(warehouse: Warehouse, tmp_path: Path) -> None:
    """The page asks dlt; this asks the database."""
    spec = parse_destination(warehouse.destination)
    pipeline = dlt.pipeline(
        "types",
        destination=dlt_destination(spec),
        dataset_name=warehouse.dataset,
        pipelines_dir=str(tmp_path / "dlt"),
    )

    @dlt.source(max_table_nesting=0)
    def empty() -> Any:
        for table, columns in COLUMNS.items():
            hints: Any = {name: dict(hints) for name, hints in columns.items()}
            yield dlt.resource([dlt.mark.materialize_table_schema()], name=table, columns=hints)

    pipeline.run(empty(), loader_file_format=loader_file_format(spec))
    found = warehouse.sql(
        "select table_name, column_name, data_type from information_schema.columns "
        f"where table_schema = '{warehouse.dataset}' and table_name not like '\\_dlt%' escape '\\' "
        "and column_name not like '\\_dlt%' escape '\\'"
    )

    expected = {
        (table, name): reference.type_on(warehouse.kind, hints)
        for table, columns in COLUMNS.items()
        for name, hints in columns.items()
    }
    assert expected == {(table, column): reference.plain_type(kind) for table, column, kind in found}


def test_every_error_says_what_to_do_about_it() -> None:
    named = {kind.__name__ for module, _ in reference.ERROR_MODULES for kind in reference._errors(module)}
    bases = {"DashlyError", "StateError", "WarehouseError"}

    assert named - bases | {"UsageError"} == reference.WHAT_TO_DO.keys()


def test_every_exit_code_is_on_the_page() -> None:
    text = reference.pages()["commands.md"]

    for code in Exit:
        assert f"| {int(code)} | `{code.name}` |" in text


def test_the_examples_of_the_configuration_take_effect(tmp_path: Path) -> None:
    """In a process of its own, as dlt reads its configuration once a process."""
    folder = tmp_path / ".dlt"
    folder.mkdir()
    (folder / "secrets.toml").write_text(_uncommented(reference.secrets_example()))
    (folder / "config.toml").write_text(_uncommented(reference.config_example()).replace("60/60", "30/60"))
    program = (
        "import json\n"
        "from dashly_sync.settings import resolve_settings\n"
        "found = resolve_settings({'dataset_name': 'flag'})\n"
        "names = ('auth_token', 'app_id', 'rate_limit', 'destination', 'dataset_name', 'state_dir')\n"
        "print(json.dumps([str(getattr(found, name)) for name in names]))"
    )
    environment = {"HOME": str(tmp_path), "DASHLY_APP_ID": "12", "SOURCES__DASHLY__BASE_URL": "https://example.com/v1"}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, check=True, text=True
    )

    token, app_id, rate_limit, destination, dataset, state_dir = json.loads(ended.stdout)
    assert ("app.KEY.SECRET", "12", "flag") == (token, app_id, dataset)
    assert ("30/60", "/var/lib/dashly-sync") == (rate_limit, state_dir)
    assert "postgresql://USER:PASSWORD@HOST:5432/DATABASE" == destination, "secrets.toml comes before config.toml"


def test_the_examples_of_the_configuration_name_every_setting() -> None:
    text = reference.secrets_example() + reference.config_example()

    for setting in SETTINGS:
        assert f"{setting.key} = " in text


def _uncommented(toml: str) -> str:
    """The example with what is commented out, but for the other places of a secret: there may be only one."""
    return re.sub(r"# (?!auth_token_|mask_key_file)", "", toml)
