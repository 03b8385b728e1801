"""Keeps the API token out of everything that people or programs may read."""

from __future__ import annotations

import html
import json
import logging
import re
from functools import lru_cache
from urllib.parse import quote, quote_plus

REDACTED = "***"

_PARAMETER = re.compile(r"((?:auth_token|mask_key)=)[^&\s'\"]+", re.IGNORECASE)
_APP_KEY = re.compile(r"\bapp\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
"""`app.<key>.<secret>`, the shape of Dashly's tokens (api-reference.md, section 1)."""
_LOGIN = re.compile(r"(://)[^/@\s'\"]+@")
"""User name and password in a URL: of a proxy or a database."""


def redact(text: str, token: str = "") -> str:
    """Returns `text` without the token, in whatever encoding it stands there, secret parameters, and logins in URLs.

    Example:
        >>> redact("GET /v1/apps/1/users?auth_token=app.1.s3cret&count=50")
        'GET /v1/apps/1/users?auth_token=***&count=50'
        >>> redact("refused: s3cr%2Bet", token="s3cr+et")
        'refused: ***'
    """
    text = _APP_KEY.sub(REDACTED, _PARAMETER.sub(rf"\g<1>{REDACTED}", without_token(text, token)))
    return _LOGIN.sub(rf"\g<1>{REDACTED}@", text)


def without_token(text: str, token: str) -> str:
    """Returns `text` without the token, in whatever encoding it stands there, and otherwise as it is: for data."""
    return _spellings(token).sub(REDACTED, text) if token else text


@lru_cache(maxsize=8)
def _spellings(token: str) -> re.Pattern[str]:
    """How URLs, Python, JSON and HTML write the token, longest first, so that no shorter one leaves a rest behind."""
    quoted = {quote(token, safe=safe, errors="replace") for safe in ("", "/", "/~:@!$&'()*+,;=?")}
    quoted |= {quote_plus(token, errors="replace")}
    quoted |= {quote(one, safe="") for one in quoted}  # a URL inside a URL
    written = {json.dumps(token)[1:-1], json.dumps(token, ensure_ascii=False)[1:-1]}
    written |= {one.replace("/", "\\/") for one in written}
    spellings = sorted({token, repr(token)[1:-1], html.escape(token), *quoted, *written}, key=len, reverse=True)
    patterns = "|".join(map(re.escape, spellings))
    return re.compile(re.sub("%[0-9A-F]{2}", lambda digits: f"(?i:{digits[0]})", patterns))


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
