"""The analytics views: the models of the dbt package beside this file, made views in the dataset.

The package is the one source: `dbt` renders its models with all of Jinja, this module renders the three calls that
they use. A view of ours bears a comment that ends in the hash of what it was made from. So whoever looks at the
catalog sees what is ours and what is out of date, and nothing else is ever touched.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dashly_warehouse.business_hours import BusinessHours
from dashly_warehouse.catalog import database_of
from dashly_warehouse.failures import first_line

if TYPE_CHECKING:
    import dlt
    from dlt.destinations.sql_client import SqlClientBase

DBT_PACKAGE = Path(__file__).parent / "dbt"
"""Where the dbt package is, for the `local:` of a `packages.yml`."""

_CALL = re.compile(r"\{\{\s*(?P<function>source|ref|var)\((?P<arguments>[^)]*)\)\s*\}\}")
_MARK = re.compile(r"\[dashly-sync view (?P<digest>[0-9a-f]{16})\]$")
UNION_MARK = re.compile(r"\[dashly-sync union (?P<digest>[0-9a-f]{16})\]$")
"""How the comment of a view over several apps ends (`union_views`)."""

CATALOG = {
    "duckdb": (
        "select view_name, 'view', comment from duckdb_views() "
        "where schema_name = %s and database_name = current_database() union all "
        "select table_name, 'table', null from duckdb_tables() "
        "where schema_name = %s and database_name = current_database()"
    ),
    "postgres": (
        "select c.relname, case c.relkind when 'v' then 'view' else 'table' end, obj_description(c.oid, 'pg_class') "
        "from pg_class as c join pg_namespace as n on n.oid = c.relnamespace "
        "where n.nspname in (%s, %s) and c.relkind in ('r', 'p', 'f', 'v', 'm')"
    ),
}

_UNIONS_OVER = r"""
select distinct n.nspname, u.relname
from pg_depend as d
join pg_class as v on d.refclassid = 'pg_class'::regclass and v.oid = d.refobjid and v.relkind = 'v'
join pg_namespace as of_v on of_v.oid = v.relnamespace
join pg_rewrite as r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
join pg_class as u on u.oid = r.ev_class and u.oid <> v.oid
join pg_namespace as n on n.oid = u.relnamespace
where of_v.nspname = %s and obj_description(u.oid, 'pg_class') ~ '\[dashly-sync union [0-9a-f]{16}\]$'
"""

# The schema version and hours for which each pipeline's views were last seen to.
_settled_at: "WeakKeyDictionary[dlt.Pipeline, tuple[str, BusinessHours]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class Model:
    """One model of the package: a select over tables and other models.

    Attributes:
        name: Also the view's.
        template: The text of its file.
    """

    name: str
    template: str

    @property
    def description(self) -> str:
        """What one row is: the comment that the file begins with."""
        return self.template.partition("\n")[0].removeprefix("--").strip()

    @property
    def refs(self) -> tuple[str, ...]:
        """The models that it selects from."""
        return tuple(dict.fromkeys(arguments[0] for name, arguments in self._calls if name == "ref"))

    @property
    def sources(self) -> tuple[str, ...]:
        """The tables that it selects from."""
        return tuple(dict.fromkeys(arguments[1] for name, arguments in self._calls if name == "source"))

    def render(self, relation: Callable[[str], str], variables: Mapping[str, str]) -> str:
        """The select as SQL.

        Args:
            relation: The qualified name of a table or model of the dataset.
            variables: Values of `var`.
        """

        def value(call: re.Match[str]) -> str:
            arguments = _arguments(call)
            return variables[arguments[0]] if call["function"] == "var" else relation(arguments[-1])

        return _CALL.sub(value, self.template)

    @property
    def _calls(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(call["function"], _arguments(call)) for call in _CALL.finditer(self.template)]


@dataclass(frozen=True)
class ViewReport:
    """What `ensure_views` did.

    Attributes:
        created: Views that were made or made anew.
        dropped: Views of ours that no version makes any more.
        notices: What a person should know: names that are taken, rights that lack.
    """

    created: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Present:
    """What is in the dataset: its tables, and our views with their digests."""

    tables: frozenset[str]
    ours: dict[str, str]
    foreign: tuple[str, ...]
    """Names of models that something else has."""


def read_models(folder: Path = DBT_PACKAGE / "models") -> list[Model]:
    """The models of the package, each after those that it selects from."""
    models = {path.stem: Model(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql"))}
    order = TopologicalSorter({name: model.refs for name, model in models.items()}).static_order()
    return [models[name] for name in order]


def ensure_views(pipeline: "dlt.Pipeline", hours: BusinessHours) -> ViewReport:
    """Makes true that the dataset has every view whose tables exist, as this version defines it; call it after a load.

    Costs nothing while the schema stays as it is, one catalog query when it changed. Other destinations than DuckDB and
    Postgres get no views.

    Args:
        pipeline: One that has loaded.
        hours: What business seconds are counted by.
    """
    kind = database_of(pipeline)
    settled = (pipeline.default_schema.version_hash, hours)
    if kind not in CATALOG or _settled_at.get(pipeline) == settled:
        return ViewReport()
    _settled_at[pipeline] = settled
    with pipeline.sql_client() as client:
        return create_views(client, kind, hours, read_models())


def create_views(client: "SqlClientBase[Any]", kind: str, hours: BusinessHours, models: list[Model]) -> ViewReport:
    """Creates, renews and drops views of the client's dataset until they are what `models` say.

    Never raises for what a database refuses: the rows are loaded, and the next run tries again.

    Args:
        client: Of dlt, open.
        kind: `duckdb` or `postgres`.
        hours: What business seconds are counted by.
        models: Each after those that it selects from.
    """
    try:
        return _Builder(client, kind, models, hours).build()
    except Exception as error:  # whatever the driver raises: that the rows are loaded is what counts
        return ViewReport(notices=(refusal("the analytics views", error),))


class _Builder:
    """Brings the views of one dataset up to date."""

    def __init__(self, client: "SqlClientBase[Any]", kind: str, models: list[Model], hours: BusinessHours) -> None:
        self._client, self._kind, self._models = client, kind, models
        self._variables = hours.variables()

    def build(self) -> ViewReport:
        """Does it, and says what was done."""
        present = self._look()
        wanted = {model.name: self._sql(model) for model in self._buildable(present)}
        stale = tuple(name for name, sql in wanted.items() if present.ours.get(name) != digest(sql))
        obsolete = tuple(sorted(present.ours.keys() - wanted.keys()))
        if stale or obsolete:
            self._bring_up_to_date(wanted, present, obsolete)
        dataset = self._client.dataset_name
        notices = tuple(
            f"{dataset}.{name} is not ours and stays; there is no view of that name" for name in present.foreign
        )
        return ViewReport(stale, obsolete, notices)

    def _look(self) -> _Present:
        dataset, names = self._client.dataset_name, {model.name for model in self._models}
        rows = self._client.execute_sql(CATALOG[self._kind], dataset, dataset) or []
        marks = {name: _MARK.search(comment or "") for name, what, comment in rows if what == "view"}
        ours = {name: mark["digest"] for name, mark in marks.items() if mark is not None}
        return _Present(
            tables=frozenset(name for name, what, _ in rows if what == "table"),
            ours=ours,
            foreign=tuple(sorted({name for name, _, _ in rows if name in names} - ours.keys())),
        )

    def _buildable(self, present: _Present) -> list[Model]:
        """The models whose tables and views are there or will be, in an order that they can be made in."""
        buildable: dict[str, Model] = {}
        for model in self._models:
            has_all = present.tables.issuperset(model.sources) and buildable.keys() >= set(model.refs)
            if has_all and model.name not in present.foreign:
                buildable[model.name] = model
        return list(buildable.values())

    def _bring_up_to_date(self, wanted: Mapping[str, str], present: _Present, obsolete: Iterable[str]) -> None:
        """Replaces the views, which keeps what was granted on them or built upon them.

        Postgres replaces no view that loses a column or changes a type: there they are dropped and made anew.
        """
        try:
            with self._client.begin_transaction():
                self._create(wanted)
                self._drop(obsolete)
        except Exception:
            if self._kind != "postgres" or not present.ours:
                raise
            with self._client.begin_transaction():
                self._drop_unions()
                self._drop(present.ours)
                self._create(wanted)

    def _create(self, wanted: Mapping[str, str]) -> None:
        descriptions = {model.name: model.description for model in self._models}
        for name, sql in wanted.items():
            view = self._client.make_qualified_table_name(name)
            comment = f"{descriptions[name]} [dashly-sync view {digest(sql)}]".replace("'", "''")
            self._client.execute_sql(f"create or replace view {view} as {sql}")
            self._client.execute_sql(f"comment on view {view} is '{comment}'")

    def _drop(self, names: Iterable[str]) -> None:
        views = [self._client.make_qualified_table_name(name) for name in names]
        # Postgres takes views that depend on each other in one statement only, DuckDB takes one view a statement
        statements = views if self._kind == "duckdb" else [", ".join(views)] if views else []
        for statement in statements:
            self._client.execute_sql(f"drop view {statement}")

    def _drop_unions(self) -> None:
        """Drops the views of Postgres over several apps that are in the way; they are made after these."""
        for schema, name in self._client.execute_sql(_UNIONS_OVER, self._client.dataset_name) or []:
            self._client.execute_sql(f'drop view "{schema}"."{name}"')

    def _sql(self, model: Model) -> str:
        return model.render(self._client.make_qualified_table_name, self._variables)


def _arguments(call: re.Match[str]) -> tuple[str, ...]:
    return tuple(argument.strip(" '\"") for argument in call["arguments"].split(","))


def digest(sql: str) -> str:
    """What tells whether a view is as this version makes it."""
    return hashlib.sha256(sql.encode()).hexdigest()[:16]


def refusal(what: str, error: Exception) -> str:
    """What the database said, with the detail that names what stands in the way."""
    cause = getattr(error, "dbapi_exception", None) or error
    detail = re.search(r"^DETAIL:\s*(.+)$", str(cause), re.MULTILINE)
    reason = first_line(str(cause)) + (f" ({detail[1].rstrip('.')})" if detail else "")
    return f"{what} are not up to date: {reason}. The rows are loaded; the next run tries again"
