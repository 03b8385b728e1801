"""Builds the wheel, installs it into an empty environment, and runs `dashly-sync demo` there, far from this repository.

Run it with any Python that has `build`: `python tests/wheel/install_and_run.py`. Prints one line when all is well;
otherwise what failed with its output, and exits 1.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = ("dashly", "dashly_simulator", "dashly_state", "dashly_warehouse", "dashly_activation", "dashly_sync")
SENTENCE = re.compile(r"\d+ requests for the first sync, \d+ for the second; .*", re.MULTILINE)
TOO_LONG_SECONDS = 1200
IMPORTS = """
import importlib, importlib.metadata, pathlib, sys
for name in {packages!r}:
    module = importlib.import_module(name)
    where = pathlib.Path(module.__file__).resolve()
    assert where.is_relative_to(sys.prefix), f"{{name}} comes from {{where}}"
    assert where.with_name("py.typed").exists(), f"{{name}} has no py.typed"
from dashly_warehouse.views import DBT_PACKAGE, read_models
assert read_models() and (DBT_PACKAGE / "dbt_project.yml").exists(), "the dbt package is not in the wheel"
print(importlib.metadata.version("dashly-sync"))
"""


class Failed(Exception):
    """A step went wrong; the message says which, and what it printed."""


def main() -> int:
    """Returns the exit code."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="dashly-wheel-") as folder:
            done = build_install_run(Path(folder).resolve())
    except Failed as failure:
        print(f"the wheel does not work: {failure}", file=sys.stderr)  # noqa: T201 - a program
        return 1
    print(f"{done} {time.monotonic() - began:.0f} s in all.")  # noqa: T201 - a program
    return 0


def build_install_run(folder: Path) -> str:
    """Returns what was done, one sentence."""
    wheel = build(folder / "dist")
    began = time.monotonic()
    python = install(wheel, folder / "venv")
    installed_seconds = time.monotonic() - began
    environ = isolated(folder, python)
    work = folder / "work"
    work.mkdir()
    version = run([str(python), "-I", "-c", IMPORTS.format(packages=PACKAGES)], "importing", work, environ).strip()
    command = str(python.with_name("dashly-sync"))
    told = run([command, "--version"], "dashly-sync --version", work, environ)
    if version not in told:
        raise Failed(f"dashly-sync --version says {told!r}, the distribution {version}")
    demo = run([command, "demo"], "dashly-sync demo", work, environ)
    sentence = SENTENCE.match(demo.rstrip("\n").rpartition("\n")[2])
    if sentence is None:
        raise Failed(f"dashly-sync demo does not end in its sentence:\n{demo}")
    if [file.name for file in work.iterdir()] != ["dashly_demo.duckdb"]:
        raise Failed(f"dashly-sync demo left {sorted(file.name for file in work.iterdir())}")
    return f"{wheel.name}, installed in {installed_seconds:.0f} s, runs its demo: {sentence[0].partition(';')[0]}."


def build(dist: Path) -> Path:
    """Builds the wheel and returns it, after a look at what is inside."""
    run([sys.executable, "-m", "build", "--wheel", "--outdir", str(dist), str(REPOSITORY)], "building the wheel")
    wheels = list(dist.glob("*.whl"))
    if len(wheels) != 1:
        raise Failed(f"building made {len(wheels)} wheels in {dist}")
    with zipfile.ZipFile(wheels[0]) as packed:
        tops = {name.partition("/")[0] for name in packed.namelist()}
    strangers = {top for top in tops if top not in PACKAGES and not top.endswith(".dist-info")}
    if strangers or not set(PACKAGES) <= tops:
        raise Failed(f"the wheel holds {sorted(tops)}")
    return wheels[0]


def install(wheel: Path, place: Path) -> Path:
    """Installs the wheel at the tested versions into a new environment, and returns its Python."""
    venv.EnvBuilder(with_pip=True).create(place)
    python = place / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "-c", str(REPOSITORY / "constraints.txt"), str(wheel)], "installing the wheel")
    run([*pip, "check"], "pip check")
    return python


def isolated(folder: Path, python: Path) -> dict[str, str]:
    """An environment with a home of its own, and without a way back to this repository."""
    home = folder / "home"
    home.mkdir()
    return {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(home),
        "DLT_DATA_DIR": str(home / "dlt"),
        "DASHLY_STATE_DIR": str(home / "state"),
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
    }


def run(command: Sequence[str], what: str, cwd: Path | None = None, environ: dict[str, str] | None = None) -> str:
    """Runs a command and returns its stdout."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        ended = subprocess.run(
            command, cwd=cwd or Path("/"), env=kept if environ is None else environ, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, encoding="utf-8", timeout=TOO_LONG_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Failed(f"{what} took more than {TOO_LONG_SECONDS} s") from None
    if ended.returncode != 0:
        raise Failed(f"{what} exited {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main())
