"""Where the tables go: the text of `--to`, understood. Imports neither dlt nor a database driver at module level."""

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from dashly_warehouse.errors import DestinationConfigError

FORMS = (
    "Valid forms: duckdb:///FILE (relative), duckdb:////DIR/FILE (absolute), "
    "postgresql://USER:PASSWORD@HOST:PORT/DB, postgresql://USER:@/DB?host=/SOCKET_DIR, "
    "or the name of a destination configured in dlt"
)

# Debian's and the upstream default; libpq compiles in one of them, and the psycopg2 wheel's need not be the server's.
SOCKET_DIRS = (Path("/var/run/postgresql"), Path("/tmp"))  # noqa: S108 - where Postgres itself puts it

# Postgres cuts identifiers at 63 bytes, and dlt adds the `_staging` schema beside the dataset.
DATASET_MAX_LENGTH = 63 - len("_staging")

_NETLOC_KEYS = {"user", "password", "host", "port", "dbname"}


@dataclass(frozen=True)
class DestinationSpec:
    """One destination.

    Attributes:
        kind: `duckdb`, `postgres`, or `named` for one that dlt's own configuration describes.
        display: Text that names it and is safe to print: it holds no password.
        path: The DuckDB file, absolute.
        uri: The Postgres URI, password included, in the one spelling that libpq and dlt both take.
        name: The name that dlt knows it by.
    """

    kind: Literal["duckdb", "postgres", "named"]
    display: str
    path: Path | None = None
    uri: str | None = field(default=None, repr=False)
    name: str | None = None

    @property
    def password(self) -> str:
        """The password in clear, empty when there is none."""
        return unquote(urlsplit(self.uri).password or "") if self.uri else ""

    def scrub(self, text: str) -> str:
        """`text` with the password taken out, whatever a driver has put into it."""
        for secret in {self.password, quote(self.password, safe="")} - {""}:
            text = text.replace(secret, "***")
        return re.sub(r"(://[^:/@\s]*:)[^@\s]+@", r"\1***@", text)


def parse_destination(text: str, environ: Mapping[str, str] = os.environ) -> DestinationSpec:
    """The destination that `--to` means.

    Args:
        text: `duckdb:///FILE`, any libpq URI, or the name of a destination configured in dlt.
        environ: Where `PGHOST`, `PGPORT`, `PGUSER` and `PGDATABASE` fill what a Postgres URI leaves out.

    Raises:
        DestinationConfigError: With the valid forms. The text itself is not repeated when it could hold a password.

    >>> parse_destination("duckdb:////data/warehouse.duckdb").path.as_posix()
    '/data/warehouse.duckdb'
    >>> parse_destination("postgresql://etl:s3cret@db.example.com/lake").display
    'postgresql://etl@db.example.com:5432/lake'
    """
    text = text.strip()
    scheme = text.partition(":")[0].lower() if ":" in text else ""
    if scheme == "duckdb":
        return _duckdb_spec(text)
    if scheme in ("postgresql", "postgres"):
        return _postgres_spec(text, environ)
    if scheme:
        raise DestinationConfigError(f"destination scheme {scheme!r} is not known", FORMS)
    if re.fullmatch(r"[A-Za-z_]\w*", text):
        return DestinationSpec("named", display=text, name=text)
    raise DestinationConfigError("no destination is given" if not text else "the destination is not understood", FORMS)


def check_dataset_name(dataset: str) -> None:
    """Nothing, when dlt and both databases will spell the dataset exactly as it was typed.

    Raises:
        DestinationConfigError: With a name that would do.

    >>> check_dataset_name("dashly")
    """
    if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", dataset) and len(dataset) <= DATASET_MAX_LENGTH:
        return
    better = re.sub(r"[^a-z0-9]+", "_", dataset.lower()).strip("_")[:DATASET_MAX_LENGTH].strip("_")
    better = better if better[:1].isalpha() else f"dashly_{better}".strip("_")
    raise DestinationConfigError(
        f"the dataset {dataset!r} is not a name that every database keeps as it is",
        f"Use lower-case letters, digits and single underscores, at most {DATASET_MAX_LENGTH}: --dataset {better}",
    )


def check_name_clash(spec: DestinationSpec, dataset: str) -> None:
    """Nothing, when the dataset can be told from the DuckDB database that holds it.

    DuckDB names the database after the file, up to the first dot. With a schema of the same name `dashly.users` is
    ambiguous, for dlt as well as for everyone who opens the file later, so no trick of ours could mend it.

    Raises:
        DestinationConfigError: When they are the same name.
    """
    if spec.path is None:
        return
    catalog = spec.path.name.partition(".")[0]
    if catalog.lower() not in (dataset.lower(), f"{dataset}_staging".lower()):
        return
    better = spec.path.with_name(f"{catalog}_warehouse.duckdb").name
    raise DestinationConfigError(
        f"the DuckDB file {spec.path.name} and the dataset {dataset} have the same name, "
        f"so that no DuckDB client could tell what {dataset}.users means",
        f"Name another file (--to duckdb:///{better}) or another dataset (--dataset {dataset}_data)",
    )


def _duckdb_spec(text: str) -> DestinationSpec:
    file = text[len("duckdb:///") :]
    if not text.lower().startswith("duckdb:///") or not file.strip("/"):
        guess = text[len("duckdb:") :].lstrip("/") or "dashly_warehouse.duckdb"
        raise DestinationConfigError(
            f"{text!r} names no DuckDB file",
            f"Three slashes for a relative path (duckdb:///{guess}), four for an absolute one (duckdb:////data/{guess})",
        )
    if file == ":memory:":
        raise DestinationConfigError("a DuckDB in memory is gone when the run ends", "Name a file: duckdb:///FILE")
    if "?" in file:
        bare = text.partition("?")[0]  # what follows may be a token
        raise DestinationConfigError("a DuckDB file takes no options in its URI", f"Leave out what follows '?': {bare}")
    return DestinationSpec("duckdb", display=text, path=Path(file).expanduser().absolute())


def _postgres_spec(text: str, environ: Mapping[str, str]) -> DestinationSpec:
    options = _libpq_options(text)
    port = options.get("port") or environ.get("PGPORT") or "5432"
    host = options.get("host") or environ.get("PGHOST") or _local_host(port)
    user = options.get("user") or environ.get("PGUSER") or getpass.getuser()
    database = options.get("dbname") or environ.get("PGDATABASE") or user
    if "," in host:
        raise DestinationConfigError("the Postgres URI names more than one host", "Name the one that accepts writes")
    if not port.isdigit():
        raise _unreadable()
    query = "&".join(f"{k}={quote(v, safe='')}" for k, v in options.items() if k not in _NETLOC_KEYS)
    password = quote(options.get("password", ""), safe="")
    address = f"{_netloc_host(host)}:{port}/{quote(database, safe='')}"
    return DestinationSpec(
        "postgres",
        display=_postgres_display(user, host, port, database),
        # dlt wants user, password, host and database all present; an empty password lets libpq look in ~/.pgpass
        uri=f"postgresql://{quote(user, safe='')}:{password}@{address}" + (f"?{query}" if query else ""),
    )


def _libpq_options(text: str) -> dict[str, str]:
    """What libpq itself reads in the URI: percent-encoding, sockets and query options are its rules, not ours."""
    import psycopg2
    from psycopg2.extensions import parse_dsn

    if "@" in _after_login(text):
        raise _unreadable()  # libpq would take a part of the password for the host, and we would print it
    try:
        return {str(k): str(v) for k, v in parse_dsn(text).items()}
    except psycopg2.Error:
        raise _unreadable() from None  # libpq repeats the URI in its message, with the password


def _after_login(text: str) -> str:
    """What follows the first `@` of a URI, or the first `/` or `?` when that comes earlier."""
    return re.split("[@/?]", text.partition("://")[2], maxsplit=1)[-1]


def _unreadable() -> DestinationConfigError:
    return DestinationConfigError(
        "the Postgres URI cannot be read",
        f"Percent-encode special characters in user and password (@ is %40, : is %3A, / is %2F, ? is %3F). {FORMS}",
    )


def _local_host(port: str) -> str:
    """The socket directory where a server listens on `port`, otherwise localhost."""
    return next((str(folder) for folder in SOCKET_DIRS if (folder / f".s.PGSQL.{port}").exists()), "localhost")


def _netloc_host(host: str) -> str:
    return f"[{host}]" if ":" in host else quote(host, safe="")


def _postgres_display(user: str, host: str, port: str, database: str) -> str:
    if host.startswith("/"):
        return f"postgresql://{user}@/{database}?host={host}" + (f"&port={port}" if port != "5432" else "")
    return f"postgresql://{user}@{_netloc_host(host)}:{port}/{database}"
