"""Sending what is to be told: a POST of JSON that Slack shows, with fields for other receivers.

dlt's own helper for Slack has no time limit, and raises with the address in the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from dashly.redaction import redact_http_logs

TIMEOUT_SECONDS = 10.0


def send(url: str, text: str, fields: Mapping[str, Any]) -> str | None:
    """Tells it; returns why it could not be told, None when it was. Neither the answer nor a log shows the address.

    Args:
        url: The webhook, a secret.
        text: For people.
        fields: For programs, beside the text.
    """
    parts = urlsplit(url)
    secret = f"{parts.path}?{parts.query}" if parts.query else parts.path
    if len(secret) > 1:
        redact_http_logs(secret)
    body = json.dumps({"text": slack_text(text), **fields}, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "dashly-sync"}
    try:
        with requests.post(
            url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True
        ) as answer:
            return None if answer.status_code < 300 else f"it answered {answer.status_code}"
    except (requests.RequestException, ValueError) as error:
        return type(error).__name__  # its text holds the address


def slack_text(text: str) -> str:
    """Returns the text as Slack shows it: none of it becomes a link or calls everybody.

    Example:
        >>> slack_text("<!channel> a & b")
        '&lt;!channel&gt; a &amp; b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
