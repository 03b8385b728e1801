"""Whether a destination works, found out by trying it for real and leaving nothing behind."""

import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dashly_warehouse.connections import WAIT_SECONDS, Connection, Sleep, connect
from dashly_warehouse.errors import DestinationUnavailable
from dashly_warehouse.failures import database_failure, duckdb_failure
from dashly_warehouse.specs import DestinationSpec, check_dataset_name, check_name_clash

_HEADERS_BYTES = 3 * 4096
"""Of a DuckDB file, https://duckdb.org/docs/stable/internals/storage."""

_RIGHTS = """
select current_user, current_database(),
       has_database_privilege(current_user, current_database(), 'CREATE'),
       array(select nspname::text from pg_namespace where nspname in (%s, %s)),
       array(select nspname::text from pg_namespace where nspname in (%s, %s)
             and not (has_schema_privilege(oid, 'CREATE') and has_schema_privilege(oid, 'USAGE'))),
       array(select distinct tableowner::text from pg_tables where schemaname in (%s, %s)
             and not pg_has_role(current_user, tableowner, 'USAGE')),
       pg_is_in_recovery() or current_setting('default_transaction_read_only') = 'on'
"""


def check_destination(
    spec: DestinationSpec,
    dataset: str,
    wait_seconds: float = WAIT_SECONDS,
    sleep: Sleep = time.sleep,
) -> None:
    """Nothing, when a sync into `dataset` of this destination could load now.

    DuckDB: removes a file that was only begun, opens the file for writing and makes the schema in a transaction that it
    rolls back; where there is no file yet, tries to make one beside it. Postgres: logs in and asks for the rights on
    the dataset and on its `_staging` twin, where dlt prepares merges. Any other: lets dlt open it.

    Args:
        spec: Which warehouse.
        dataset: The schema that is to receive the tables.
        wait_seconds: How long to wait for a DuckDB file that another process holds.
        sleep: How to wait.

    Raises:
        DestinationConfigError: The destination or dataset cannot work as they are named.
        DestinationUnavailable: It does not answer, or this user may not write there; the mend names the GRANT.
    """
    check_dataset_name(dataset)
    check_name_clash(spec, dataset)
    if spec.kind == "duckdb":
        _check_duckdb(spec, dataset, wait_seconds, sleep)
    elif spec.kind == "postgres":
        _check_postgres(spec, dataset)
    else:
        _check_named(spec, dataset)


def _check_duckdb(spec: DestinationSpec, dataset: str, wait_seconds: float, sleep: Sleep) -> None:
    path = spec.path
    if path is not None:
        _remove_beginning(path)
    if path is not None and not path.exists():
        try:
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            raise duckdb_failure(str(error), spec) or _unwritable(spec, error) from None
        return
    with connect(spec, dataset, read_only=False, wait_seconds=wait_seconds, sleep=sleep) as connection:
        try:
            connection.execute("begin")
            connection.execute(f"create schema if not exists {dataset}")
            connection.execute("rollback")
        except Exception as error:  # duckdb's own class: importing it here costs every other destination 50 ms
            raise database_failure(error, spec) from None


def _remove_beginning(path: Path) -> None:
    """Removes what a full disk, or a kill, has left of a DuckDB file that was about to be made.

    DuckDB writes three headers of 4 kB before anything else. With one or two of them, or with none, it refuses to open
    the file ever after, and nothing was in it yet.
    """
    with suppress(OSError):
        content = path.read_bytes() if path.stat().st_size < _HEADERS_BYTES else None
        if content is not None and (not content or content[8:12] == b"DUCK"):
            path.unlink()


def _unwritable(spec: DestinationSpec, error: OSError) -> DestinationUnavailable:
    return DestinationUnavailable(f"the DuckDB file {spec.path} cannot be made ({error.strerror})", "Name another file")


def _check_postgres(spec: DestinationSpec, dataset: str) -> None:
    with connect(spec, dataset, read_only=True) as connection:
        user, database, may_create, existing, closed, owners, is_read_only = _rights(connection, dataset)
    if is_read_only:
        raise DestinationUnavailable(f"{spec.display} is read-only", "Name the primary server in --to, not a standby")
    wanted = [dataset, f"{dataset}_staging"]
    missing = [name for name in wanted if name not in existing]
    if missing and not may_create:
        raise DestinationUnavailable(
            f"user {user} may not create the schema {missing[0]} in {spec.display}",
            f'As its owner: GRANT CREATE ON DATABASE "{database}" TO "{user}";',
        )
    if closed:
        raise DestinationUnavailable(
            f"user {user} may not write to the schema {closed[0]} in {spec.display}",
            f'As its owner: GRANT USAGE, CREATE ON SCHEMA {", ".join(closed)} TO "{user}";',
        )
    if owners:
        raise DestinationUnavailable(
            f"the dataset {dataset} in {spec.display} holds tables of {', '.join(owners)}, which {user} may not alter",
            f'Hand them over (REASSIGN OWNED BY "{owners[0]}" TO "{user}";) or use another --dataset',
        )


def _rights(connection: Connection, dataset: str) -> tuple[Any, ...]:
    return connection.execute(_RIGHTS, [dataset, f"{dataset}_staging"] * 3)[0]


def _check_named(spec: DestinationSpec, dataset: str) -> None:
    import dlt

    from dashly_warehouse.destinations import dlt_destination

    destination = dlt_destination(spec)
    with tempfile.TemporaryDirectory() as folder:
        try:
            pipeline = dlt.pipeline("dashly_check", destination=destination, dataset_name=dataset, pipelines_dir=folder)
            with pipeline.destination_client() as client:
                client.is_storage_initialized()
        except Exception as error:  # each of dlt's thirty destinations fails in its own way
            raise database_failure(error, spec) from None
