"""Keeps the API token out of everything that people or programs may read."""

from __future__ import annotations

import logging
import re
from urllib.parse import quote, quote_plus

REDACTED = "***"

_PARAMETER = re.compile(r"(auth_token=)[^&\s'\"]+", re.IGNORECASE)
_APP_KEY = re.compile(r"\bapp\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""`app.<key>.<secret>`, the shape of Dashly's tokens (api-reference.md, section 1)."""


def redact(text: str, token: str = "") -> str:
    """Returns `text` without the token, in whatever encoding it stands there, and without `auth_token=` values.

    Example:
        >>> redact("GET /v1/apps/1/users?auth_token=app.1.s3cret&count=50")
        'GET /v1/apps/1/users?auth_token=***&count=50'
        >>> redact("refused: s3cr%2Bet", token="s3cr+et")
        'refused: ***'
    """
    for spelling in {token, quote(token, safe=""), quote(token), quote_plus(token), repr(token)[1:-1]}:
        if spelling:
            text = text.replace(spelling, REDACTED)
    return _APP_KEY.sub(REDACTED, _PARAMETER.sub(rf"\g<1>{REDACTED}", text))


class RedactingFilter(logging.Filter):
    """Rewrites log records of the HTTP library, which prints whole URLs at debug level."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns True after the record's text was scrubbed."""
        record.msg, record.args = redact(record.getMessage(), self._token), None
        return True


def redact_http_logs(token: str) -> None:
    """Makes urllib3's loggers, which see the query string, scrub the token. Repeating it adds nothing."""
    for name in ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "urllib3.response"):
        logger = logging.getLogger(name)
        if not any(isinstance(known, RedactingFilter) and known._token == token for known in logger.filters):
            logger.addFilter(RedactingFilter(token))
