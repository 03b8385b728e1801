"""What our command wants of the libraries that it stands on, said before any of them is imported."""

from __future__ import annotations

import os

_SETTINGS = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",  # four POSTs a slice to a third party otherwise
    "RUNTIME__INTERCEPT_SIGNALS": "false",  # dlt would swallow a SIGTERM that comes while it loads
    "LOAD__DELETE_COMPLETED_JOBS": "true",  # a slice leaves 14 KB instead of 19
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # pyarrow's own keeps 20 MB that a load no longer needs
}


def prepare_libraries() -> None:
    """Sets what our command wants of dlt and pyarrow, unless the environment says otherwise."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
