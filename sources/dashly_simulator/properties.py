"""Operations on a user's properties, as POST /users/{id}/props applies them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .records import User

MOST_OPERATIONS = 250
MISSING: Any = object()


@dataclass
class Outcome:
    """What a list of operations did."""

    affected: list[str] = field(default_factory=list)
    ignored: list[Any] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def properties_of(user: User, name: str) -> dict[str, Any]:
    """The mapping that holds the property: system names begin with `$`."""
    return user.props if name.startswith("$") else user.props_custom


def _update(_old: Any, new: Any) -> Any:
    return new


def _set_once(old: Any, new: Any) -> Any:
    return new if old is MISSING else old


def _add(old: Any, new: Any) -> Any:
    return new if old is MISSING else old + new


def _append(old: Any, new: Any) -> Any:
    return [new] if old is MISSING else [*old, new]


def _union(old: Any, new: Any) -> Any:
    return [new] if old is MISSING else old if new in old else [*old, new]


def _exclude(old: Any, new: Any) -> Any:
    return old if old is MISSING else [word for word in old if word != new]


def _delete(_old: Any, _new: Any) -> Any:
    return MISSING


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "update_or_create": _update,
    "set_once": _set_once,
    "add": _add,
    "delete": _delete,
    "append": _append,
    "union": _union,
    "exclude": _exclude,
}
NEEDS = {"add": (int, float), "append": (list,), "union": (list,), "exclude": (list,)}


def apply_operations(user: User, operations: list[Any]) -> Outcome:
    """Change the user's properties in turn; an operation that makes no sense is ignored, not refused."""
    outcome = Outcome()
    for operation in operations:
        if not _is_sound(operation) or not _apply(user, operation, outcome):
            outcome.ignored.append(operation)
    return outcome


def _is_sound(operation: Any) -> bool:
    return (
        isinstance(operation, dict)
        and operation.get("op") in OPERATIONS
        and isinstance(operation.get("key"), str)
        and operation["key"] not in ("", "$last_seen")
        and ("value" in operation or operation["op"] == "delete")
    )


def _apply(user: User, operation: dict[str, Any], outcome: Outcome) -> bool:
    name, op = operation["key"], operation["op"]
    held = properties_of(user, name)
    old = held.get(name, MISSING)
    if not _fits(op, old, operation.get("value")):
        return False
    new = OPERATIONS[op](old, operation.get("value"))
    if new is old or (new is not MISSING and old is not MISSING and new == old and type(new) is type(old)):
        return True
    if new is MISSING:
        del held[name]
        outcome.deleted.append(name)
    else:
        held[name] = new
        if name in outcome.deleted:
            outcome.deleted.remove(name)
    if name not in outcome.affected:
        outcome.affected.append(name)
    return True


def _fits(op: str, old: Any, value: Any) -> bool:
    needed = NEEDS.get(op)
    if needed is None:
        return True
    if op == "add" and (not isinstance(value, int | float) or isinstance(value, bool)):
        return False
    return old is MISSING or (isinstance(old, needed) and not isinstance(old, bool))
