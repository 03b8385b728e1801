"""The one place where a push meets the Web API: which call a request becomes, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dashly import errors
from dashly.client import DashlyClient
from dashly.web_api import MOST_OPERATIONS, Operation
from dashly_activation.rows import REPEATABLE, Kind, Request, operations
from dashly_activation.sender import Answered, NotSent, Outcome

_OF_THIS_ROW = (errors.RecordGone, errors.RecordForbidden, errors.RequestRefused, errors.InvalidArgument)
"""What the API says of one row, without having done anything."""


class DashlyApi:
    """Sends calls with a client, each of which costs one request.

    Args:
        client: With the token and the budget.

    Attributes:
        most_operations: Of one call.
        idle: How often a property stayed as it was although the call was taken, by key.
    """

    most_operations = MOST_OPERATIONS

    def __init__(self, client: DashlyClient) -> None:
        self._client = client
        self.idle: dict[str, int] = {}

    def send(self, kind: Kind, request: Request, content: Mapping[str, Any]) -> Answered:
        """Sends the part of a request that has this content.

        Raises:
            NotSent: It had no effect, nor would anything else that is sent now.
        """
        try:
            return self._send(kind, request, content)
        except errors.Uncertain as error:
            return Answered(Outcome.UNCERTAIN, str(error), error=error)
        except _OF_THIS_ROW as error:
            return Answered(Outcome.REFUSED, str(error), error=error)
        except errors.ApiUnavailable as error:
            return Answered(Outcome.UNREACHED, str(error), error=error)
        except errors.DashlyError as error:
            raise NotSent(error) from None

    def _send(self, kind: Kind, request: Request, content: Mapping[str, Any]) -> Answered:
        if kind == "props":
            return self._set_props(request, content)
        if kind == "events":
            self._client.track_event(
                request.user,
                content["event"],
                content["params"],
                created=datetime.fromisoformat(content["created"]),
                by_user_id=request.by_user_id,
            )
        else:
            self._client.send_message(request.user, content["body"], type=content["type"])
        return Answered(Outcome.TAKEN)

    def _set_props(self, request: Request, content: Mapping[str, Any]) -> Answered:
        wanted = [
            Operation(op, key, value)
            for key, (operation, operand) in content.items()
            for op, key, value in operations(key, operation, operand)
        ]
        change = self._client.set_user_props(request.user, wanted, by_user_id=request.by_user_id)
        named = {str(operation.get("key")) for operation in change.ignored if isinstance(operation, Mapping)}
        ignored = named & content.keys()
        # one that can be repeated is also ignored because all is as it asks for
        for key in ignored:
            self.idle[key] = self.idle.get(key, 0) + 1
        lost = frozenset(key for key in ignored if content[key][0] not in REPEATABLE)
        reason = f"the API ignored {', '.join(sorted(lost))}: the operation does not fit the property" if lost else ""
        return Answered(Outcome.TAKEN, reason, lost)
