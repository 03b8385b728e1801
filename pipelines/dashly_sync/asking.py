"""Asking whoever sits at the terminal before something is done that cannot be undone."""

from __future__ import annotations

import sys

import click


def agreed(would_do: str, *ways_out: str) -> bool:
    """Returns whether the person at the terminal says yes.

    Args:
        would_do: What would be done, as a sentence.
        ways_out: What to say on the command line instead, such as `--yes`.

    Raises:
        UsageError: Nobody is there to ask.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(f"{would_do} Nobody is there to ask: say {', or '.join(ways_out)}")
    click.echo(would_do, err=True)
    return click.confirm("Do it?", err=True)
