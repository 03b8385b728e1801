"""What a run remembers from slice to slice, and how it asks for a page."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from dashly.client import DashlyClient
from dashly.drift import EVOLVE, Drift
from dashly.errors import AccessError, ApiUnavailable, DashlyError, RecordForbidden
from dashly.held import MetParents
from dashly.masks import Masks
from dashly.reconcile import DEFAULT_SHARE
from dashly.tasks import Fetched, Parent, Task
from dashly.values import MICRO

logger = logging.getLogger(__name__)

UNAVAILABLE_IN_A_ROW = 3
"""One parent that the API fails on is left for the next run; so many in a row mean that the API is down."""


class Reader:
    """Keep one for a whole run.

    Args:
        client: Talks to the API.
        since: Reads nothing older, microseconds since 1970; what is left out stays known as missing.
        reconcile_share: Share of the API's budget since the last run that may go to reading again what is known.
        full: Reads everything again that was not read since this moment, microseconds since 1970, whatever the share.
        masks: Of every answer, before anything else sees it.
        contract: What happens when the API sends what no column takes, see `Drift`.
        access: Entered for each query of the destination; may wait until it can be opened.
    """

    def __init__(
        self,
        client: DashlyClient,
        since: int | None = None,
        reconcile_share: float = DEFAULT_SHARE,
        full: int | None = None,
        masks: Masks | None = None,
        contract: str = EVOLVE,
        access: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self.client = client
        self.since = since
        self.reconcile_share = reconcile_share
        self.full = full
        self.masks = masks
        self.access = access
        self.drift = Drift(contract)
        self.met = MetParents()
        self.settled = False
        """Whether what this process loaded so far has been settled in the warehouse."""
        self.continuing = False
        """False until the first request: a new process looks at the heads again sooner."""
        self.skipped: dict[Parent, str] = {}
        """Parents left for the next run, with the reason."""
        self._unavailable_in_a_row = 0
        self._last_moment = 0

    def fetch(self, task: Task) -> Fetched:
        """Returns the task's page, masked. Costs one request."""
        path, params = task.request(self.client.app_id)
        answer = self.client.get(path, params, task.name)
        if self.masks is None:
            return Fetched(answer.body, answer.fetched_at, answer.envelope)
        return Fetched(self.masks.apply(answer.body, task.resource), answer.fetched_at)

    def moment(self, fetched_at: float) -> int:
        """Returns microseconds since 1970, later at every call: of two versions in one package the later stays."""
        self._last_moment = max(int(fetched_at * MICRO), self._last_moment + 1)
        return self._last_moment

    def count_failure(self, task: Task, error: DashlyError) -> None:
        """Leaves the task's parent for the next run.

        Raises:
            DashlyError: The failure is not the parent's own: a list, or several parents in a row.
        """
        if isinstance(error, RecordForbidden) and task.parent is None:
            raise AccessError(str(error), error.mend)
        own = isinstance(error, RecordForbidden | ApiUnavailable)
        self._unavailable_in_a_row += isinstance(error, ApiUnavailable)
        if task.parent is None or not own or self._unavailable_in_a_row >= UNAVAILABLE_IN_A_ROW:
            raise error
        self.skipped[task.parent] = str(error)
        logger.warning("%s is left for the next run: %s", task.name, error)

    def count_success(self) -> None:
        """The API answers: failures before this one were the parents' own."""
        self._unavailable_in_a_row = 0
