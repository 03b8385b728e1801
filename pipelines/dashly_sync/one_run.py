"""One `run` of the command, from its settings to its exit code: what it says meanwhile, and what follows it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dashly.errors import DashlyError
from dashly.redaction import redact
from dashly_sync.aftermath import Aftermath
from dashly_sync.exits import Exit, exit_for
from dashly_sync.options import settings_of
from dashly_sync.run import Run, RunLimits
from dashly_sync.run_log import RunRecord
from dashly_sync.settings import settings_for_telling
from dashly_sync.signals import stop_signals
from dashly_sync.summary import closing_sentence
from dashly_sync.talk import Talk
from dashly_sync.watch import RunWatch, watching

if TYPE_CHECKING:
    from dashly_sync.settings import Settings

Flags = dict[str, Any]


class OneRun:
    """Carries out one run.

    Args:
        flags: Of the settings and of the limits, as they were given.
        limits_of: Takes the limits' flags out of them.
        as_json: Whether stdout gets the record.
        verbose: How much of what libraries log is shown.
    """

    def __init__(self, flags: Flags, limits_of: Callable[[Flags], RunLimits], *, as_json: bool, verbose: int) -> None:
        self._flags, self._limits_of, self._as_json = flags, limits_of, as_json
        self._settings = settings_for_telling(flags)
        self._talk = Talk(self._settings.log_format, app=self._settings.app)
        self._talk.take_logs(verbose)
        self._is_ordinary = True

    def carry_out(self) -> int:
        """Returns the exit code.

        Raises:
            Exception: What ended the run, for whoever shows errors as text; as JSON it is said here.
        """
        try:
            record, number, failure = self._run()
        except (click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            for notice in self._follow(error):
                self._talk.say("notice", f"notice: {notice}", "warning")
            return self._failed(error)
        record.notices += self._follow(failure)
        self._close(record)
        if failure is not None:
            return self._failed(failure)
        return Exit.DONE if number is None else 128 + number

    def _run(self) -> tuple[RunRecord, int | None, DashlyError | None]:
        """Runs with progress on stderr; returns the record, and the signal or the API's error that ended the run."""
        limits = self._limits_of(self._flags)
        self._is_ordinary = not limits.full
        self._settings = settings = settings_of(self._flags)
        watch, failure = RunWatch(settings.rate_limit), None
        with stop_signals() as stop, watching(watch, self._talk):
            carried = Run(settings, limits, stop, watch, waits=watch.waits)
            try:
                carried.carry_out()
            except DashlyError as error:
                if carried.record.outcome != "failed":  # nothing was begun: there is no record to show
                    raise
                failure = error
        return carried.record, stop.number if carried.record.outcome == "signal" else None, failure

    def _follow(self, error: Exception | None) -> list[str]:
        try:
            return Aftermath(self._settings, is_ordinary=self._is_ordinary).follow(error)
        except Exception as failure:  # rows are loaded, or the run has failed already: neither must depend on this
            return [f"no metrics, nobody was told: {_words(failure, self._settings)}"]

    def _close(self, record: RunRecord) -> None:
        for notice in record.notices:
            self._talk.say("notice", f"notice: {notice}", "warning")
        for parent, reason in record.skipped.items():
            self._talk.say("skipped", f"left for the next run: {parent}: {reason}", "warning", parent=parent)
        if self._as_json:
            click.echo(json.dumps(record.to_json(), ensure_ascii=False))
        else:
            click.echo(closing_sentence(record))
        if self._as_json or self._talk.is_json:
            level = "error" if record.outcome == "failed" else "info"
            self._talk.say("run_ended", closing_sentence(record), level, **_numbers(record))

    def _failed(self, error: Exception) -> int:
        """Returns the exit code of an error that was said as JSON; raises it where it is shown as text."""
        if not self._talk.is_json:
            raise error
        if isinstance(error, click.ClickException):
            self._talk.say("failed", error.format_message(), "error", exit=int(Exit.USAGE))
            return Exit.USAGE
        code = exit_for(error)
        more: dict[str, Any] = {"exit": int(code or Exit.FAILED)}
        if code is None:
            trace = "".join(traceback.format_exception(error))
            self._talk.say(
                "defect", _words(error, self._settings), "error", **more, traceback=_clean(trace, self._settings)
            )
        else:
            self._talk.say("failed", str(error), "error", **more)
        return code or Exit.FAILED


def _numbers(record: RunRecord) -> dict[str, Any]:
    """Returns what programs want to know of a run, under the names of the progress lines."""
    took = 0.0 if record.finished_at is None else (record.finished_at - record.started_at).total_seconds()
    return {
        "run_id": record.run_id,
        "outcome": record.outcome,
        "requests": record.requests,
        "rows": sum(record.records.values()),
        "backlog": sum(record.backlog.values()),
        "seconds": round(took, 1),
        "waited_seconds": record.waited_seconds,
        "rate_limited": record.rate_limited,
    }


def _words(error: Exception, settings: Settings) -> str:
    return f"{type(error).__name__}: {_clean(str(error), settings)}"


def _clean(text: str, settings: Settings) -> str:
    text = redact(text, settings.auth_token)
    return text.replace(settings.webhook, "***") if settings.webhook else text
