"""The flags that commands share: those of the settings, and durations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from dashly_sync.durations import parse_duration
from dashly_sync.settings import SETTINGS, Needs, Settings, resolve_settings

Command = Callable[..., Any]


class Duration(click.ParamType[float]):
    """A duration such as 14m, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Returns seconds."""
        try:
            return parse_duration(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def with_settings(*keys: str, of_run: bool = False) -> Callable[[Command], Command]:
    """Adds the flags of the settings with these keys; without any, of all settings.

    Args:
        keys: Of the settings.
        of_run: Whether the flags that only `run` has are among all.
    """

    def decorate(command: Command) -> Command:
        for setting in reversed(SETTINGS):
            is_wanted = setting.key in keys if keys else of_run or not setting.of_run
            if setting.flag is not None and is_wanted:
                default = (
                    f" [{setting.environment}; default {setting.default}]"
                    if setting.default
                    else f" [{setting.environment}]"
                )
                command = click.option(
                    setting.flag, setting.key, help=setting.help + default, multiple=setting.repeatable
                )(command)
        return click.option("--app", help="One of several apps: [sources.dashly.apps.NAME] in .dlt/config.toml")(
            command
        )

    return decorate


def settings_of(flags: dict[str, Any], needs: Needs = Needs.ALL) -> Settings:
    """Takes the settings' flags out of `flags` and returns the settings in force."""
    keys = ("app", *(setting.key for setting in SETTINGS))
    return resolve_settings({key: flags.pop(key, None) for key in keys}, needs=needs)
