"""One sync of the tap in `singer_tap.py`; `capture.py` keeps what it prints, as a target would."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Carries one sync out, and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--token", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--stop-early", action="store_true")
    chosen = parser.parse_args()
    config = {"base_url": chosen.base_url, "auth_token": chosen.token, "stop_early": chosen.stop_early}
    file = chosen.work / "config.json"
    file.write_text(json.dumps(config), encoding="utf-8")
    tap = [sys.executable, HERE / "singer_tap.py", "--config", file]
    capture = [sys.executable, HERE / "capture.py", "singer", "--work", chosen.work, "--", *tap]
    return subprocess.run([str(part) for part in capture], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
