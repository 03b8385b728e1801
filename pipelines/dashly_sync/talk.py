"""What `run` says on stderr: sentences for people, or one JSON object a line for a collector (`--log-format json`)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from dashly.redaction import redact

TEXT, JSON = "text", "json"
FORMATS = (TEXT, JSON)
_LEVELS = {0: logging.ERROR, 1: logging.INFO}


class Talk:
    """Stderr.

    Args:
        log_format: `text` or `json`.
        app: Which of several apps it is about; programs are told.
        stream: `sys.stderr` when None.
    """

    def __init__(self, log_format: str = TEXT, app: str = "", stream: TextIO | None = None) -> None:
        self._fields = {"app": app} if app else {}
        self._stream = stream or sys.stderr
        self.is_json = log_format == JSON

    @property
    def is_terminal(self) -> bool:
        """Whether a person watches."""
        return not self.is_json and self._stream.isatty()

    def say(self, event: str, message: str, level: str = "info", *, timed: bool = False, **numbers: Any) -> None:
        """Writes one line.

        Args:
            event: What happened, in one word for programs.
            message: The same for people; without the token.
            level: `debug`, `info`, `warning` or `error`.
            timed: Whether people want to know when, too.
            numbers: More for programs.
        """
        now = datetime.now(UTC)
        if self.is_json:
            line = json_line(now, level, event, message, {**self._fields, **numbers})
        else:
            line = f"{now:%Y-%m-%dT%H:%M:%SZ} {message}" if timed else message
        print(line, file=self._stream, flush=True)

    def take_logs(self, verbose: int) -> None:
        """Makes what libraries log appear on stderr; as JSON, their warnings too."""
        level = _LEVELS.get(verbose, logging.DEBUG)
        if not self.is_json:
            form = "%(asctime)s %(levelname)s %(name)s: %(message)s"
            logging.basicConfig(level=level, stream=self._stream, format=form)
            return
        handler = JsonHandler(self._stream)
        logging.basicConfig(level=level, handlers=[handler], force=True)
        logging.getLogger("dlt").handlers = [handler]  # dlt takes a handler that is there, but sets its own formatter
        logging.captureWarnings(capture=True)


def is_object(line: str) -> bool:
    """Returns whether a line was said as JSON."""
    return line.startswith('{"time":')


def message_of(line: str) -> str:
    """Returns what a line says to people.

    Example:
        >>> message_of('{"time": "2026-11-01T00:00:00.000Z", "message": "Done."}'), message_of("Done.")
        ('Done.', 'Done.')
    """
    return str(json.loads(line)["message"]) if is_object(line) else line


class JsonHandler(logging.StreamHandler[TextIO]):
    """Writes each record as one JSON object, whatever formatter it is given."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        at = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["traceback"] = redact(logging.Formatter().formatException(record.exc_info))
        return json_line(at, record.levelname.lower(), "log", redact(record.getMessage()), fields)


def json_line(at: datetime, level: str, event: str, message: str, fields: Mapping[str, Any]) -> str:
    """Returns one object, which is one line.

    Example:
        >>> json_line(datetime(2026, 11, 1, tzinfo=UTC), "info", "notice", "Hi", {"rows": 4})
        '{"time": "2026-11-01T00:00:00.000Z", "level": "info", "event": "notice", "message": "Hi", "rows": 4}'
    """
    time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"time": time, "level": level, "event": event, "message": message}
    return json.dumps({**head, **fields}, ensure_ascii=False, default=str)
