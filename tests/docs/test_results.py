"""The promise: every measured figure in README.md and docs/ is the one in tests/benchmarks/results."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.benchmarks import report, results

PAGES = [page for page in report.pages() if "<!-- result" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(results.ROOT)))
def test_a_page_says_what_was_measured(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert report.written(text, report.tables()) == text, f"{page.name} is out of date, run: {report.COMMAND}"


def test_a_table_and_a_figure_are_written_between_their_markers(tmp_path: Path) -> None:
    results.write("sums", {"two": {"and two": 4.25}}, command="count", folder=tmp_path)
    page = "<!-- results:sums -->\nold\n<!-- /results -->\nit is <!-- result:sums/two/and two:.1f -->?<!-- /result -->."

    after = report.written(page, {"sums": lambda: "| 4 |"}, tmp_path)

    figure = "it is <!-- result:sums/two/and two:.1f -->4.2<!-- /result -->."
    assert f"<!-- results:sums -->\n| 4 |\n<!-- /results -->\n{figure}" == after
    assert after == report.written(after, {"sums": lambda: "| 4 |"}, tmp_path)


def test_what_was_not_measured_stays_and_an_unknown_table_is_said(tmp_path: Path) -> None:
    figure = "<!-- result:nothing/at all -->as it was<!-- /result -->"

    assert figure == report.written(figure, {}, tmp_path)
    with pytest.raises(LookupError, match="known are sums"):
        report.written("<!-- results:sum -->\n<!-- /results -->", {"sums": lambda: ""}, tmp_path)


def test_a_result_says_how_and_where_it_was_made_and_names_no_place(tmp_path: Path) -> None:
    file = results.write("one", {"a": 1}, seed=3, command="make bench", folder=tmp_path)
    stored = results.read("one", tmp_path)

    assert {"command", "commit", "date", "figures", "machine", "seed", "versions"} == stored.keys()
    assert ("make bench", 3, {"a": 1}) == (stored["command"], stored["seed"], stored["figures"])
    assert {"cores", "cpu", "loop_seconds", "memory_gib", "os", "python"} == stored["machine"].keys()
    assert file.read_text(encoding="utf-8").endswith("}\n")
    with pytest.raises(ValueError, match="must not name"):
        results.write("two", {"file": str(results.ROOT / "x")}, command="make bench", folder=tmp_path)
