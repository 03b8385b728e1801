"""What can go wrong between us and the API, grouped by what the caller should do.

```
DashlyError                   what happened, where, what was seen, and `mend`: what to do next
├── SettingsError             mend the settings: nothing was asked of the API
├── InvalidArgument           mend the value: the API would refuse it, nothing was asked of the API
├── AccessError               mend the token or the app id: NotAuthenticated, PermissionDeniedError
├── RecordGone                skip the record: LookupError, the API no longer knows this id
├── RecordForbidden           skip the record: it belongs to another app
├── RequestRefused            mend the request: ValidationError, BadRequest, Error404, MethodNotAllowed
├── ApiUnavailable            run again later: time-outs, resets, 5xx, HTML or cut-off bodies, after all retries
├── Uncertain                 look, then decide: a write that may have taken effect; it is never sent again by itself
├── RateLimited               run again later: somebody else uses the token
├── SchemaChanged             look: the API sends what no column takes, and the schema contract is `freeze`
├── ApiChanged                look: an answer that the documents do not describe
└── Stopped                   nothing is wrong: a signal, a time limit or a request limit ended the reading
```
"""

from __future__ import annotations


class DashlyError(Exception):
    """The base of all errors of the source.

    Attributes:
        mend: What to do next, one sentence.
    """

    def __init__(self, message: str, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}. {self.mend}" if self.mend else message


class SettingsError(DashlyError):
    """A setting is missing or makes no sense; no request was spent."""


class InvalidArgument(DashlyError, ValueError):
    """A value that the API would refuse; no request was spent."""


class AccessError(DashlyError):
    """The API refuses the token, or the token has no access to the app."""


class RecordGone(DashlyError):
    """The API does not know the id (any longer): 400 `LookupError`."""


class RecordForbidden(DashlyError):
    """The record belongs to another app: 403 for one record while the lists answer."""


class RequestRefused(DashlyError):
    """The API does not take the request as it is: 400, 404, 405."""


class ApiUnavailable(DashlyError):
    """No usable answer after all retries: network, time-out, 5xx, a proxy's page, a body cut off."""


class Uncertain(DashlyError):
    """A write that got no usable answer: it may have taken effect, and is not sent again."""


class RateLimited(DashlyError):
    """429 again and again although the local budget was kept: something else uses this token."""


class ApiChanged(DashlyError):
    """An answer of a shape that no document describes."""


class SchemaChanged(DashlyError):
    """The API sends a field that is new, or a value that its column cannot hold, and the schema contract is frozen."""


class Stopped(DashlyError):
    """Reading ended on purpose before this request was sent."""
