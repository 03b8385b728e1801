"""What a database or dlt says when it fails, turned into a cause and a mend. It opens nothing."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

from dashly_state.disk import room
from dashly_warehouse.errors import DestinationConfigError, DestinationError, DestinationUnavailable
from dashly_warehouse.specs import DestinationSpec

# How exceptions refer to the one they wrap: PipelineStepFailed, LoadClientJob*, DestinationConnectionError, Database*.
_INNER = ("exception", "client_exception", "inner_exc", "dbapi_exception", "__cause__")

_DISK_FULL = "53100"
"""SQLSTATE of Postgres, https://www.postgresql.org/docs/current/errcodes-appendix.html."""

_NOT_LOST = "What was fetched is kept, the next run continues"

# DuckDB 2.0 on Linux and macOS, and on Windows
_HOLDER = re.compile(r"(?:lock is held in|already open in)\s+(?P<program>.+?) \(PID (?P<pid>\d+)\)", re.DOTALL)

_DUCKDB_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"different configuration",
        "the DuckDB file {where} is open elsewhere in this process",
        "Close the other connection first",
    ),
    (
        r"Could not set lock|being used by another process|Conflicting lock",
        "the DuckDB file {where} is held by another process",
        "Close what has the file open (a reader blocks a writer too). " + _NOT_LOST,
    ),
    (
        r"created with a newer version|storage version number",
        "the DuckDB file {where} was made by a newer DuckDB than the one installed here",
        "Update it (pip install -U duckdb), or name another file",
    ),
    (
        r"not a valid DuckDB|Corrupt database file|sqlite_scanner|magic bytes",
        "{where} is not a DuckDB file, or is a damaged one",
        "Name another file, or move this one away",
    ),
    (r"Is a directory", "{where} is a directory", "Name a file in it: {where}/warehouse.duckdb"),
    (
        r"No such file or directory|cannot find the path",
        "the directory of {where} does not exist",
        "Create it: mkdir -p {folder}",
    ),
    (r"database does not exist", "there is no DuckDB file {where} yet", "Fill it first: dashly-sync run"),
    (
        r"Permission denied|Read-only file system|Access is denied|attached in read-only",
        "the DuckDB file {where} cannot be written",
        "Give this user the right to write the file and its directory {folder}, or name another file",
    ),
    (
        r"No space left|disk full|disk quota|File too large",
        "there is no room for {where}, {room}",
        "Make room on its disk and run again, or name a file elsewhere. " + _NOT_LOST,
    ),
    (
        r"Could not read enough bytes",
        "{where} is cut off: it was copied in part, or its disk was full",
        "Put a backup in its place, or move it away to start over",
    ),
)

_POSTGRES_CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"could not translate host name|Name or service not known",
        "the host of {where} is not known",
        "Check the host name in --to, and this machine's DNS",
    ),
    (
        r"Connection refused|Is the server running",
        "nothing answers at {where}",
        "Check that Postgres runs there, and the port or the socket directory in --to",
    ),
    (
        r"timeout expired|timed out|No route to host|Network is unreachable",
        "{where} does not answer in time",
        "Check host, port and the firewall in between",
    ),
    (
        r"no password supplied",
        "{where} wants a password",
        "Put it into the URI (DASHLY_DESTINATION keeps it out of `ps`) or into ~/.pgpass",
    ),
    (
        r"authentication failed",
        "{where} refused the password or the user",
        "Check both in --to; special characters are percent-encoded (@ is %40, : is %3A, / is %2F)",
    ),
    (
        r'role "[^"]*" does not exist',
        "the user of {where} does not exist",
        "Create it (CREATE ROLE … LOGIN) or name another",
    ),
    (
        r'database "[^"]*" does not exist',
        "the database of {where} does not exist",
        "Create it (CREATE DATABASE …) or name another in --to",
    ),
    (
        r"no pg_hba\.conf entry|no encryption",
        "{where} does not admit this machine or user",
        "Add ?sslmode=require to the URI, or a line to the server's pg_hba.conf",
    ),
    (r"SSL|certificate", "{where} and this machine do not agree on encryption", "Check sslmode in the URI"),
    (
        r"too many (clients|connections)|connection slots|starting up|shutting down|in recovery mode",
        "{where} takes no connections at the moment",
        "Wait and run again. " + _NOT_LOST,
    ),
    (
        r"read-only transaction|hot standby",
        "{where} is read-only",
        "Name the primary server in --to, not a standby",
    ),
    (
        r"must be owner",
        "{where} holds tables of another user in this dataset",
        "Run as their owner, hand them over (REASSIGN OWNED BY … TO …), or use another --dataset",
    ),
    (
        r"permission denied for (schema|database)",
        "the user of {where} may not write to this dataset",
        "GRANT CREATE ON DATABASE … TO …, as `dashly-sync check` spells out",
    ),
    (
        r"could not extend file|could not write to file|No space left|SQLSTATE 53100",
        "the disk of {where} is full",
        "Make room on the server and run again. " + _NOT_LOST,
    ),
    (
        r"server closed the connection|connection already closed|terminating connection|Connection reset|SSL SYSCALL",
        "{where} broke the connection off",
        "Run again. " + _NOT_LOST,
    ),
)


def is_held(error: BaseException) -> bool:
    """Whether DuckDB says that someone else has the file open: the one failure that waiting mends."""
    return any(re.search(pattern, str(error)) for pattern, _, _ in _DUCKDB_CAUSES[:2])


def duckdb_failure(text: str, spec: DestinationSpec) -> DestinationUnavailable | None:
    """The cause and mend behind a message of DuckDB, None when it says nothing that we know."""
    path = spec.path or Path(spec.display)
    found = _match(_DUCKDB_CAUSES, text, where=str(path), folder=str(path.parent))
    if found is None:
        return None
    holder = _HOLDER.search(text)
    message = f"{found[0]}: {Path(holder['program']).name} (PID {holder['pid']})" if holder else found[0]
    return DestinationUnavailable(message, found[1])


def postgres_failure(text: str, spec: DestinationSpec) -> DestinationUnavailable | None:
    """The cause and mend behind a message of Postgres or libpq, None when it says nothing that we know.

    A server may speak another language than English. Then the caller shows its first line instead.
    """
    found = _match(_POSTGRES_CAUSES, text, where=spec.display, folder="")
    return DestinationUnavailable(f"{found[0]} ({first_line(spec.scrub(text))})", found[1]) if found else None


def database_failure(error: BaseException, spec: DestinationSpec) -> DestinationError:
    """The error of a driver as ours: with cause and mend when it is known, otherwise with its first line."""
    if _is_credentials_missing(error):
        return DestinationConfigError(
            f"dlt finds no complete credentials for the destination {spec.display}",
            f"Add [destination.{spec.display}.credentials] to .dlt/secrets.toml, or set "
            f"DESTINATION__{spec.display.upper()}__CREDENTIALS",
        )
    text = str(error)
    if getattr(error, "pgcode", None) == _DISK_FULL:
        text += "\nSQLSTATE 53100"  # said by every server, whatever its language
    known = duckdb_failure(text, spec) if _is_duckdb(error) else postgres_failure(text, spec)
    if known is None and _is_connection_fault(error):
        return DestinationUnavailable(f"{spec.display}: {first_line(spec.scrub(text))}", "Run `dashly-sync check`")
    return known or DestinationError(f"{spec.display}: {first_line(spec.scrub(text))}", "Run `dashly-sync check`")


def explain_failure(error: BaseException, spec: DestinationSpec) -> DestinationError | None:
    """What the destination did wrong, if anything in the chain of `error` is the destination's fault.

    Walks from dlt's PipelineStepFailed down to the driver's own exception, which says most.

    Returns:
        None when the failure has nothing to do with the destination: the API, a bug, a signal.
    """
    chain = list(causes(error))
    for one in chain:
        if isinstance(one, DestinationError):
            return one
    for one in chain:
        if _is_duckdb(one) or _is_postgres(one):
            return database_failure(one, spec)
    for one in chain:
        if _is_dlt_destination(one) or _is_credentials_missing(one):
            return database_failure(one, spec)
    return None


def first_line(text: str) -> str:
    r"""The first line that says something, without a label such as `FATAL:` or `IO Error:` in front.

    >>> first_line('connection to server at "db", port 5432 failed: FATAL:  no such role\nhint')
    'no such role'
    """
    line = next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
    line = re.sub(r"^connection to server .*? failed: ", "", line)
    return re.sub(r"^(FATAL|ERROR|[A-Z][A-Za-z ]+ Error):\s+", "", line).rstrip(".")


def _match(causes: tuple[tuple[str, str, str], ...], text: str, where: str, folder: str) -> tuple[str, str] | None:
    for pattern, message, mend in causes:
        if re.search(pattern, text, re.IGNORECASE):
            free = room(Path(folder)) if "{room}" in message else ""
            return message.format(where=where, room=free), mend.format(where=where, folder=folder)
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and every exception that it wraps or came from, outermost first, each once."""
    queue, seen = [error], set[int]()
    while queue:
        one = queue.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        context = None if one.__suppress_context__ else one.__context__
        inner = [*(getattr(one, name, None) for name in _INNER), context]
        queue += [other for other in inner if isinstance(other, BaseException)]


def _has_ancestor(error: BaseException, module: str, name: str = "") -> bool:
    """Whether a class of `error` comes from `module`; by name, so that nothing has to be imported to ask."""
    return any(
        kind.__module__.split(".")[0] == module and (not name or kind.__name__ == name) for kind in type(error).__mro__
    )


def _is_duckdb(error: BaseException) -> bool:
    return _has_ancestor(error, "duckdb") or _has_ancestor(error, "_duckdb")


def _is_postgres(error: BaseException) -> bool:
    return _has_ancestor(error, "psycopg2")


def _is_dlt_destination(error: BaseException) -> bool:
    return _has_ancestor(error, "dlt", "DestinationException")


def _is_credentials_missing(error: BaseException) -> bool:
    """Whether dlt's configuration lacks the destination's part; the source's has a spec of another name."""
    is_missing = _has_ancestor(error, "dlt", "ConfigFieldMissingException")
    return is_missing and str(getattr(error, "spec_name", "")).endswith(("ClientConfiguration", "Credentials"))


def _is_connection_fault(error: BaseException) -> bool:
    return any(kind.__name__ == "OperationalError" for kind in type(error).__mro__)


def is_news(record: logging.LogRecord) -> bool:
    """Says no to what dlt tells of a statement that wants more memory, twice with a traceback: it gets more.

    It stands here because a logger lives longer than anything else: with it, duckdb would not be cleared away at exit.
    """
    error = record.exc_info[1] if record.exc_info else None
    return "Out of Memory Error" not in f"{record.getMessage()} {error}"
