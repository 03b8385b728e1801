"""A new DuckDB file: there whole or not at all, and not for everybody to read."""

import os
import tempfile
from pathlib import Path

from dashly_warehouse.specs import DestinationSpec

MOST_RIGHTS = 0o640
"""It holds personal data. A group may read it where the umask lets groups; everybody, only after a `chmod`."""


def create_file(spec: DestinationSpec, umask: int) -> None:
    """Makes the file of a DuckDB destination if there is none yet; one that is there keeps its rights.

    DuckDB itself writes the headers into the file that others see, so that a second process that comes at that moment
    finds one that is only begun.

    Args:
        spec: Which warehouse.
        umask: The user's; the process's own may be stricter.

    Raises:
        duckdb.Error: It cannot be made.
        OSError: The same.
    """
    path = spec.path
    if path is None or path.exists():
        return
    import duckdb

    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        new = Path(folder) / path.name
        duckdb.connect(str(new)).close()
        new.chmod(MOST_RIGHTS & ~umask)
        try:
            os.link(new, path)  # which, unlike a rename, replaces nothing
        except FileExistsError:
            return
        except OSError:  # a file system without links
            new.rename(path)
