"""`run --all` without its runs: a short program stands in for each, and does what a run might do to the others."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from dashly_sync.cli import cli
from dashly_sync.exits import exit_of_all
from dashly_sync.run_all import AppRun, AppRuns, closing_sentence, handed_on

RUN = """
import json, signal, sys, time
from pathlib import Path
app, folder = sys.argv[-1], Path(sys.argv[1])
deed = app.partition("_")[0]

def committed(number, frame):
    (folder / f"{app}.committed").touch()
    print("Stopped by a signal", file=sys.stderr)
    sys.exit(128 + number)

signal.signal(signal.SIGTERM, committed)
(folder / f"{app}.began").touch()
if deed == "refused":
    print("dashly-sync: 401 NotAuthenticated", file=sys.stderr)
    sys.exit(3)
if deed == "long":
    time.sleep(60)
if deed == "crashed":
    import os
    os.kill(os.getpid(), signal.SIGKILL)
if deed == "odd":
    print("no record")
    sys.exit(0)
print("notice: something", file=sys.stderr)
print("Done: 4 requests", file=sys.stderr)
print(json.dumps({"requests": 4, "records": {"users": 20, "parts": 1}}))
"""


def carry_out(folder: Path, *apps: str, jobs: int = 4) -> tuple[list[AppRun], list[str]]:
    """Runs a stand-in for each; returns how they ended, and what was told meanwhile."""
    told: list[str] = []

    async def all_of_them() -> list[AppRun]:
        return await AppRuns((sys.executable, "-S", "-c", RUN, str(folder)), jobs, told.append).carry_out(apps)

    return asyncio.run(all_of_them()), told


def test_one_that_fails_stops_none_of_the_others(tmp_path: Path) -> None:
    """Refused, killed, or saying what makes no sense; the last line of each is its result, the others are progress."""
    runs, told = carry_out(tmp_path, "blog", "crashed", "odd", "refused", "shop")

    done = {"requests": 4, "records": {"users": 20, "parts": 1}}
    assert [
        AppRun("blog", 0, "Done: 4 requests", done),
        AppRun("crashed", 137, "ended at once by SIGKILL"),
        AppRun("odd", 1, "Expecting value: line 1 column 1 (char 0)"),
        AppRun("refused", 3, "dashly-sync: 401 NotAuthenticated"),
        AppRun("shop", 0, "Done: 4 requests", done),
    ] == runs
    assert ["blog: notice: something", "shop: notice: something"] == sorted(told)
    assert "refused: exit 3: 401 NotAuthenticated" == runs[3].line()
    assert (
        "2 of 5 apps are well, not crashed (exit 137), odd (exit 1), refused (exit 3): 8 requests, 42 rows, 0.5 s."
        == closing_sentence(runs, 0.5)
    )


def test_a_signal_reaches_every_run_and_the_ones_in_line_do_not_begin(tmp_path: Path) -> None:
    async def stopped() -> list[AppRun]:
        runs = AppRuns((sys.executable, "-S", "-c", RUN, str(tmp_path)), 2, lambda _: None)
        at_work = asyncio.ensure_future(runs.carry_out(["long_a", "long_b", "shop"]))
        while len(list(tmp_path.glob("*.began"))) < 2:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        return await at_work

    runs = asyncio.run(stopped())

    assert [143, 143, 143] == [run.exit for run in runs]
    assert ["long_a.began", "long_a.committed", "long_b.began", "long_b.committed"] == sorted(
        file.name for file in tmp_path.glob("long_*")
    )
    assert "Stopped by a signal" == runs[0].said


def test_no_more_than_so_many_run_at_once(tmp_path: Path) -> None:
    """With one place, whoever is in line begins when the one before has ended."""
    runs, told = carry_out(tmp_path, "a", "b", "c", jobs=1)

    assert ["a: notice: something", "b: notice: something", "c: notice: something"] == told
    assert [0, 0, 0] == [run.exit for run in runs]


@pytest.mark.parametrize(
    ("codes", "expected"), [((0, 0), 0), ((0, 3), 3), ((3, 3), 3), ((0, 2, 3), 1), ((5, 5, 0), 5), ((143, 143), 143)]
)
def test_the_exit_code_is_what_the_failed_ones_have_in_common(codes: tuple[int, ...], expected: int) -> None:
    assert expected == exit_of_all(codes)


def test_every_flag_but_those_of_all_is_handed_on() -> None:
    written = [
        *("run", "--all", "--jobs=2", "--json", "--max-time=1h30m", "--max-requests=7", "--full", "-vv"),
        *(
            "--mask=pii",
            "--mask=users.name=redact",
            "--to=duckdb:///a b.duckdb",
            "--dataset=crm",
            "--reconcile-share=0",
        ),
    ]
    command = cli.commands["run"]
    with command.make_context("run", written[1:]) as context:
        arguments = handed_on(context)
    with command.make_context("run", arguments) as again:
        named = {key: value for key, value in context.params.items() if key not in ("all_apps", "jobs", "as_json")}

        assert named == {key: again.params[key] for key in named}
    assert not {"--all", "--json", "--jobs=2"} & set(arguments)


def test_json_is_one_array() -> None:
    assert {"app": "a", "exit": 3, "said": "no", "run": None} == json.loads(json.dumps(AppRun("a", 3, "no").to_json()))
