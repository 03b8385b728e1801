"""The promise: docs/analytics.md names every column of every view, and its examples run."""

from __future__ import annotations

import yaml
from tests.docs import analytics

from dashly_warehouse.business_hours import DEFAULT, BusinessHours
from dashly_warehouse.views import DBT_PACKAGE, read_models


def test_the_page_says_what_the_package_says() -> None:
    assert analytics.page() == analytics.PAGE.read_text("utf-8"), f"out of date, run: {analytics.COMMAND}"


def test_every_column_is_documented_and_no_other() -> None:
    models = analytics.documented_models()

    assert {one["name"]: [column["name"] for column in one["columns"]] for one in models} == {
        name: list(columns) for name, columns in analytics.real_columns().items()
    }
    assert [] == [column["name"] for one in models for column in one["columns"] if not column["description"]]


def test_every_view_is_introduced_as_its_comment_does() -> None:
    introduction = analytics.PAGE.read_text("utf-8").partition(analytics.HEADING)[0]

    for model in read_models():
        rows = model.description.removeprefix("One row per ").rstrip(".")
        assert f"| [`{model.name}`](#{model.name}) | {rows} |" in introduction


def test_dbt_counts_by_the_same_hours_as_a_run() -> None:
    project = yaml.safe_load((DBT_PACKAGE / "dbt_project.yml").read_text("utf-8"))
    hours = BusinessHours.parse(DEFAULT).variables()

    assert hours == {name: project["vars"]["dashly"][name] for name in hours}
