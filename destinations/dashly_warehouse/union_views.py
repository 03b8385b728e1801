"""Views over the datasets of several apps: in a schema of their own, each table of all apps with a column `app`.

As the analytics views, they bear a comment that ends in the hash of what they were made from, so that nothing else is
touched. The comment also names the apps: one that is not configured on this machine stays, as long as its dataset does.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dashly_warehouse.catalog import database_of
from dashly_warehouse.views import CATALOG, UNION_MARK, ViewReport, digest, read_models, refusal

if TYPE_CHECKING:
    import dlt
    from dlt.destinations.sql_client import SqlClientBase

Columns = dict[str, str]
"""Type by name, in the order of the table."""

_MEMBER = re.compile(r"(\w+) \((\w+)\)")
_COLUMNS = {
    "duckdb": (
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where schema_name in ({places}) and database_name = current_database() "
        "order by schema_name, table_name, column_index"
    ),
    "postgres": (
        "select n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute as a "
        "join pg_class as c on c.oid = a.attrelid join pg_namespace as n on n.oid = c.relnamespace "
        "where n.nspname in ({places}) and c.relkind in ('r', 'p', 'v') and a.attnum > 0 and not a.attisdropped "
        "order by n.nspname, c.relname, a.attnum"
    ),
}
_TAKE_TURNS = {"duckdb": None, "postgres": "select pg_advisory_xact_lock(hashtext(%s))"}
"""Two processes that look at once would each leave out what the other has just made; DuckDB lets in one process."""
_SCHEMA_EXISTS = "select 1 from information_schema.schemata where schema_name = %s"

# For which schema version and apps each pipeline's views were last seen to.
_settled_at: "WeakKeyDictionary[dlt.Pipeline, tuple[str, frozenset[tuple[str, str]]]]" = WeakKeyDictionary()


@dataclass(frozen=True)
class _View:
    """A view as it is to be.

    Attributes:
        sql: The select behind it.
        members: The dataset of each app that has the table.
    """

    sql: str
    members: Mapping[str, str]

    @property
    def comment(self) -> str:
        apps = ", ".join(f"{app} ({dataset})" for app, dataset in self.members.items())
        return f"Rows of {apps} [dashly-sync union {digest(self.sql)}]"


def ensure_union(pipeline: "dlt.Pipeline", dataset: str, apps: Mapping[str, str]) -> ViewReport:
    """Makes true that `dataset` has a view over each table of all apps; call it after a load.

    Columns go by name; where an app lacks one it is null. Costs nothing while the schema of this app stays as it is,
    two catalog queries when it changed. Other destinations than DuckDB and Postgres get no views.

    Args:
        pipeline: Of one of the apps; one that has loaded.
        dataset: Where the views go; what else is there stays as it is.
        apps: The dataset of each app; those that do not exist yet are left out.
    """
    kind = database_of(pipeline)
    settled = (pipeline.default_schema.version_hash, frozenset(apps.items()))
    if kind not in CATALOG or _settled_at.get(pipeline) == settled:
        return ViewReport()
    _settled_at[pipeline] = settled
    with pipeline.sql_client() as client:
        return create_union(client, kind, dataset, apps)


def create_union(client: "SqlClientBase[Any]", kind: str, dataset: str, apps: Mapping[str, str]) -> ViewReport:
    """Creates, renews and drops views of `dataset` until they are what the apps' datasets hold.

    Never raises for what a database refuses: the rows are loaded, and the next run tries again.

    Args:
        client: Of dlt, open.
        kind: `duckdb` or `postgres`.
        dataset: Where the views go.
        apps: The dataset of each app.
    """
    union = _Union(client, kind, dataset, apps)
    try:
        report = union.look()
        if not (report.created or report.dropped):
            return report
        return union.bring_up_to_date()
    except Exception as error:  # whatever the driver raises: that the rows are loaded is what counts
        return ViewReport(notices=(refusal(f"the views over all apps in {dataset}", error),))


class _Union:
    """Brings the views over several apps up to date."""

    def __init__(self, client: "SqlClientBase[Any]", kind: str, dataset: str, apps: Mapping[str, str]) -> None:
        self._client, self._kind, self._dataset, self._apps = client, kind, dataset, apps
        self._wanted: dict[str, _View] = {}
        self._ours: dict[str, str] = {}

    def look(self) -> ViewReport:
        """Returns what there is to be done."""
        rows = self._client.execute_sql(CATALOG[self._kind], self._dataset, self._dataset) or []
        comments = {name: comment or "" for name, what, comment in rows if what == "view"}
        marks = {name: UNION_MARK.search(comment) for name, comment in comments.items()}
        self._ours = {name: mark["digest"] for name, mark in marks.items() if mark is not None}
        known = {app: place for name in self._ours for app, place in _MEMBER.findall(comments[name])}
        views = dict(self._views({**known, **self._apps}))
        taken = sorted(views.keys() & {name for name, _, _ in rows} - self._ours.keys())
        self._wanted = {name: view for name, view in views.items() if name not in taken}
        stale = (name for name, view in self._wanted.items() if self._ours.get(name) != digest(view.sql))
        return ViewReport(tuple(stale), tuple(sorted(self._ours.keys() - self._wanted.keys())), self._notices(taken))

    def bring_up_to_date(self) -> ViewReport:
        """Looks again, alone, and does it.

        Postgres replaces no view that loses a column or changes a type: there they are dropped and made anew.
        """
        try:
            with self._client.begin_transaction():
                report = self._alone()
                self._drop(report.dropped)
                self._create(report.created)
        except Exception:
            if self._kind != "postgres" or not self._ours:
                raise
            with self._client.begin_transaction():
                report = self._alone()
                self._drop(self._ours)
                self._create(self._wanted)
        return report

    def _alone(self) -> ViewReport:
        if (take_turns := _TAKE_TURNS[self._kind]) is not None:
            self._client.execute_sql(take_turns, f"dashly-sync union {self._dataset}")
        return self.look()

    def _views(self, apps: Mapping[str, str]) -> Iterator[tuple[str, _View]]:
        places = ", ".join(["%s"] * len(apps))
        rows = self._client.execute_sql(_COLUMNS[self._kind].format(places=places), *apps.values()) or []
        found: dict[str, dict[str, Columns]] = {}
        for place, table, column, kind in rows:
            found.setdefault(table, {}).setdefault(place, {})[column] = kind
        models = {model.name for model in read_models()}
        for table, by_place in found.items():
            if table in models or any("_synced_at" in columns for columns in by_place.values()):
                members = {app: apps[app] for app in sorted(apps) if apps[app] in by_place}
                yield table, _View(union_sql(table, members, by_place), members)

    def _notices(self, taken: list[str]) -> tuple[str, ...]:
        if not taken:
            return ()
        return (
            f"{self._dataset} has {', '.join(taken)} of its own, which stay as they are: there are no views of all "
            "apps by these names. Name another schema for them: --dataset, or dataset_name under [sources.dashly]",
        )

    def _create(self, names: Iterable[str]) -> None:
        if not self._client.execute_sql(_SCHEMA_EXISTS, self._dataset):
            self._client.execute_sql(f"create schema if not exists {_quoted(self._dataset)}")
        for name in names:
            view = self._wanted[name]
            self._client.execute_sql(f"create or replace view {self._qualified(name)} as {view.sql}")
            self._client.execute_sql(f"comment on view {self._qualified(name)} is '{view.comment}'")

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            self._client.execute_sql(f"drop view {self._qualified(name)}")

    def _qualified(self, name: str) -> str:
        return f"{_quoted(self._dataset)}.{_quoted(name)}"


def union_sql(table: str, members: Mapping[str, str], columns: Mapping[str, Columns]) -> str:
    """Returns the select over a table of several apps, with the app's name in front.

    Args:
        table: Its name in each dataset.
        members: The dataset of each app.
        columns: What the table has in each dataset.

    Example:
        >>> shop, blog = {"id": "VARCHAR", "score": "BIGINT"}, {"id": "VARCHAR"}
        >>> print(union_sql("users", {"blog": "d_blog", "shop": "d_shop"}, {"d_shop": shop, "d_blog": blog}))
        select 'blog' as app, "id", cast(null as BIGINT) as "score" from "d_blog"."users"
        union all
        select 'shop' as app, "id", "score" from "d_shop"."users"
    """
    types: dict[str, set[str]] = {}
    for dataset in members.values():
        for column, kind in columns[dataset].items():
            types.setdefault(column, set()).add(kind)

    def value(dataset: str, column: str) -> str:
        kinds, quoted = types[column], _quoted(column)
        kind = next(iter(kinds)) if len(kinds) == 1 else "varchar"  # what every type can be read as
        if column not in columns[dataset]:
            return f"cast(null as {kind}) as {quoted}"
        return quoted if len(kinds) == 1 else f"cast({quoted} as varchar) as {quoted}"

    return "\nunion all\n".join(
        f"select '{app}' as app, {', '.join(value(dataset, column) for column in types)} "  # noqa: S608
        f"from {_quoted(dataset)}.{_quoted(table)}"
        for app, dataset in members.items()
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
