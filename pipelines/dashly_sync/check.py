"""Is everything in place: token, app, API dialect, destination, state directory; each with a verdict and the mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dashly import DashlyClient
from dashly.client import RetryPolicy
from dashly.endpoints import LISTS
from dashly.errors import AccessError, RecordForbidden
from dashly.paging import is_offset, next_token, page_params, records_in
from dashly_state.budget import RequestBudget
from dashly_state.directory import StateDirectory
from dashly_state.disk import room
from dashly_sync.exits import Exit, exit_for
from dashly_sync.masking import masks_of
from dashly_sync.settings import Settings
from dashly_warehouse.destinations import check_destination
from dashly_warehouse.snapshot import check_snapshot
from dashly_warehouse.specs import parse_destination


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing that was looked at.

    Attributes:
        subject: What.
        exit: `Exit.DONE` when it is well.
        finding: What was seen, with the mend when it is not well.
    """

    subject: str
    exit: Exit
    finding: str


def check_all(settings: Settings) -> Iterator[Verdict]:
    """Yields the verdicts as they come. Costs two requests."""
    looks: tuple[tuple[str, Callable[[Settings], str]], ...] = (
        ("state directory", _state_directory),
        ("destination", _destination),
        ("token and app", _users),
        ("conversations", _conversations),
        *((("masks", _masks),) if settings.mask else ()),
        *((("snapshot", _snapshot),) if settings.snapshot else ()),
    )
    for subject, look in looks:
        try:
            yield Verdict(subject, Exit.DONE, look(settings))
        except Exception as error:
            code = exit_for(error)
            if code is None:
                raise
            yield Verdict(subject, code, str(error))


def _state_directory(settings: Settings) -> str:
    directory = StateDirectory(settings.state_dir)
    return f"{directory.root}{'' if directory.is_private() else ', readable by others: chmod 700 keeps them out'}"


def _destination(settings: Settings) -> str:
    spec = parse_destination(settings.destination)
    check_destination(spec, settings.dataset_name)
    return f"{spec.display}, dataset {settings.dataset_name}"


def _users(settings: Settings) -> str:
    found, token = _first_page(settings, "users")
    if found < 50:
        dialect = "either dialect, one page holds all"
    else:
        dialect = "offset and limit" if is_offset(token) else "after"
    return f"{settings.base_url}, app {settings.app_id}: {found} users on the first page; pages by {dialect}"


def _conversations(settings: Settings) -> str:
    found, token = _first_page(settings, "conversations")
    return f"{found} on the first page, {'more' if token else 'none'} behind it"


def _masks(settings: Settings) -> str:
    masks = masks_of(settings)
    return f"{settings.mask}, fingerprint {masks.fingerprint}" if masks else "none"


def _snapshot(settings: Settings) -> str:
    target = settings.snapshot or Path()
    check_snapshot(parse_destination(settings.destination), settings.dataset_name, target)
    return f"{target}, {room(target)}"


def _first_page(settings: Settings, resource: str) -> tuple[int, str | None]:
    """Returns the records on the first page of a list, and the token of the next. Costs one request."""
    endpoint = LISTS[resource]
    with RequestBudget(
        StateDirectory(settings.state_dir).budget_path, settings.auth_token, settings.rate_limit
    ) as budget:
        client = DashlyClient(
            settings.auth_token,
            budget,
            base_url=settings.base_url,
            app_id=settings.app_id,
            retry=RetryPolicy(attempts=2, rate_limited_attempts=2),
        )
        params = {"id_as_string": "true", **endpoint.params, **page_params(None, may_offset=endpoint.may_offset)}
        try:
            answer = client.get(endpoint.path.format(app=client.app_id), params, resource)
        except RecordForbidden as error:
            raise AccessError(str(error), "") from None
    records = len(records_in(answer.envelope, resource, resource))
    return records, next_token(answer.envelope, records, None, resource, may_offset=endpoint.may_offset)
