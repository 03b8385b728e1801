"""The dlt destination: `pipeline.run` sends rows to Dashly, and what dlt loads again is not sent again."""

from __future__ import annotations

from pathlib import Path

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from dashly_activation import dashly_activation
from dashly_simulator import Simulator, SimulatorSettings, serve


def test_rows_become_properties_and_are_not_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    simulator = Simulator(SimulatorSettings(users=3, conversations=0))
    users = [str(row["id"]) for row in simulator.truth.rows("users")]
    rows = [{"id": user, "$name": "Änn", "plan name": "pro", "tags": ["a"]} for user in users]
    with serve(simulator) as server:
        destination = dashly_activation(
            operations={"tags": "union"},
            auth_token=simulator.settings.auth_token,
            base_url=server.base_url,
            rate_limit="1000000/60",
        )
        pipeline = dlt.pipeline("scores", destination=destination, pipelines_dir=str(tmp_path / "dlt"))
        pipeline.run([*rows, {"id": None, "plan name": "pro"}, {"id": "77", "plan name": "pro"}], table_name="props")
        pipeline.run(rows, table_name="props")

        assert {"POST /users/{id}/props": 4} == dict(simulator.requests.by_endpoint)
        with pytest.raises(PipelineStepFailed, match="none of props, events, messages"):
            pipeline.run(rows, table_name="properties")
    cards = {str(row["user_id"]): row["props_custom"] for row in simulator.truth.rows("user_details")}
    assert [("pro", ["a"])] * 3 == [(cards[user]["plan name"], cards[user]["tags"]) for user in users]
    assert {"Änn"} == {row["name"] for row in simulator.truth.rows("users")}
