"""The peers' programs need the peers' environments: nothing of them is imported here."""

from __future__ import annotations

collect_ignore = ["programs"]
