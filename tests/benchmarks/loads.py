"""A whole run over recorded pages: what every answer costs from its bytes to its committed row."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measuring import Meter, peak_mb, resident_mb
from tests.benchmarks.tapes import BASE_URL, Player, Tape

from dashly_state.budget import RateLimit
from dashly_state.clock import VirtualClock
from dashly_sync.libraries import prepare_libraries
from dashly_sync.run import Run, RunLimits
from dashly_sync.settings import Settings
from dashly_sync.signals import StopSignal
from dashly_warehouse.connections import connect
from dashly_warehouse.specs import parse_destination


@dataclass(frozen=True, slots=True)
class Load:
    """What one load cost.

    Attributes:
        rows: What the warehouse holds afterwards, by table.
        pages: How many the run asked for.
        cpu_seconds: Of the process, from the beginning of the run to its end; the playing of the tape left out.
        played_seconds: CPU of the playing.
        base_mb: Memory when everything was imported.
        peak_mb: The most memory that the process ever had.
        memory_mb: Memory after each load package.
    """

    rows: dict[str, int]
    pages: int
    wall_seconds: float
    cpu_seconds: float
    played_seconds: float
    base_mb: float
    peak_mb: float
    memory_mb: list[float]

    @property
    def total(self) -> int:
        """Rows of all tables."""
        return sum(self.rows.values())


def load(
    tape: Tape, resources: tuple[str, ...], tables: Sequence[str], destination: str, dataset: str = "dashly"
) -> Load:
    """Reads everything that the tape has of the resources into the destination, under 60 requests a virtual minute.

    Args:
        tape: What the API answers.
        resources: What is selected.
        tables: Whose rows are counted.
        destination: As after `--to`.
        dataset: Schema of the tables.
    """
    prepare_libraries()
    player, memory = Player(tape), list[float]()
    base = resident_mb()
    with tempfile.TemporaryDirectory() as place, Meter() as meter:
        settings = Settings(
            auth_token="tape",
            base_url=BASE_URL,
            destination=destination,
            dataset_name=dataset,
            state_dir=Path(place),
            rate_limit=RateLimit(60, 60.0),
            reconcile_share=0.0,
        )
        record = Run(
            settings,
            RunLimits(resources),
            StopSignal(),
            watch=lambda _, current: memory.append(resident_mb()) if current is None else None,
            clock=VirtualClock(tape.now),
            session=player,
        ).carry_out()
    if record.outcome != "finished":
        raise RuntimeError(f"the run ended as {record.outcome}: {record.error}")
    cpu, peak = meter.cpu_seconds - player.cpu_seconds, peak_mb()
    rows = counted(tables, destination, dataset)
    return Load(rows, player.pages, meter.wall_seconds, cpu, player.cpu_seconds, base, peak, memory)


def counted(tables: Sequence[str], destination: str, dataset: str) -> dict[str, int]:
    """Returns how many rows each table has."""
    with connect(parse_destination(destination), dataset) as connection:
        return {table: int(connection.execute(f"select count(*) from {table}")[0][0]) for table in tables}
