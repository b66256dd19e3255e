"""Dashboards: as generated, valid, laid out without overlap, about metrics that are served."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from monitoring_files import (
    FOREIGN,
    GRAFANA,
    ROOT,
    dashboards,
    exported,
    labels_of,
    metrics_in,
    panels,
    run,
)

from swt_core.config.loading import load_config

SCHEMA = ROOT.parent / "shared" / "grafana" / "dashboard.jsonschema.json"
BOARDS = dashboards()
SERIES = exported()
GRID = 24


def test_there_are_four() -> None:
    assert sorted(BOARDS) == ["live", "system", "training", "validation"]
    assert {board["uid"] for board in BOARDS.values()} == {f"swt-{name}" for name in BOARDS}


def test_the_files_are_what_their_definitions_give(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import generate as g\n"
        "for board in g.BOARDS: g.path(board, Path(sys.argv[2])).write_text(g.text(board))"
    )
    result = run(sys.executable, "-B", "-c", script, str(GRAFANA), str(tmp_path))
    assert result.returncode == 0, result.stderr
    for name in BOARDS:
        committed = (GRAFANA / "dashboards" / f"{name}.json").read_text()
        assert (tmp_path / f"{name}.json").read_text() == committed, "run python docker/grafana/generate.py"


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_is_valid_by_grafanas_schema(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMA.exists():
        pytest.skip("Grafana's schema is not on this machine")
    schema = json.loads(SCHEMA.read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    assert [error.message for error in validator.iter_errors(BOARDS[name])] == []
    assert list(validator.iter_errors(BOARDS[name] | {"schemaVersion": "39"}))


@pytest.mark.parametrize("name", BOARDS)
def test_panels_have_a_title_a_description_a_unit_and_the_provisioned_source(name: str) -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    (source,) = provisioned["datasources"]
    titles = []
    for panel in panels(BOARDS[name]):
        titles.append(panel["title"])
        assert len(panel["description"]) > 5, panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        assert panel["targets"]
        if len(panel["targets"]) > 1:
            assert all(target["legendFormat"] != "__auto" for target in panel["targets"]), panel["title"]
    assert len(titles) >= 15


@pytest.mark.parametrize("name", BOARDS)
def test_panels_fill_the_grid_without_overlap_under_rows(name: str) -> None:
    taken: set[tuple[int, int]] = set()
    board = BOARDS[name]
    assert board["panels"][0]["type"] == "row"
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= GRID
        assert not cells & taken, panel["title"]
        taken |= cells
    height = max(y for _, y in taken) + 1
    assert len(taken) == GRID * height, "there are holes"


@pytest.mark.parametrize("name", BOARDS)
def test_a_query_asks_for_metrics_that_are_served(name: str) -> None:
    for panel in panels(BOARDS[name]):
        for target in panel["targets"]:
            used = metrics_in(target["expr"])
            assert used <= set(SERIES) | FOREIGN, panel["title"]
            for metric, label in labels_of(target["expr"]):
                if metric in SERIES:
                    assert label in SERIES[metric] | {"job", "instance"}, panel["title"]


def test_most_of_what_is_served_is_shown_somewhere() -> None:
    shown: set[str] = set()
    for board in BOARDS.values():
        for panel in panels(board):
            shown |= {name for target in panel["targets"] for name in metrics_in(target["expr"])}
    own = {name for name in SERIES if name.startswith(("swt_live", "swt_training", "swt_validator"))}
    bare = {name for name in own if not name.endswith(("_bucket", "_sum", "_count"))}
    missing = bare - shown
    assert missing <= {
        "swt_training_starts_total",
        "swt_training_rounds",
        "swt_training_buffer_steps",
        "swt_training_rolling_sessions",
        "swt_training_rolling_pips",
        "swt_training_self_play_trades_per_session",
        "swt_training_selection_trades_per_session",
        "swt_training_network_mean_absolute_value_pips",
        "swt_live_disk_free_bytes",
        "swt_live_disk_low",
        "swt_live_feed_stale_after_seconds",
        "swt_live_shadow_position_units",
        "swt_live_shadow_trades",
    }


def test_the_check_against_a_real_prometheus_asks_for_what_is_served_and_runs_what_is_allowed() -> None:
    path = ROOT / "tests" / "stack" / "dashboards_check.py"
    spec = importlib.util.spec_from_file_location("dashboards_check", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    for expr in module.READY.values():
        assert metrics_in(expr) <= set(SERIES)
    assert set(module.MAY_BE_UNDEFINED) <= set(SERIES)
    load_config(
        profile="demo", environ={}, overrides=tuple(f"{key}={value}" for key, value in module.SMALL.items())
    )
    expressions = [target["expr"] for b in BOARDS.values() for p in panels(b) for target in p["targets"]]
    assert len(list(module.queries())) == len(expressions)
    assert not any("$" in expr for _, _, expr in module.queries())
    empty = module.Answer("SWT live", "Drawdown", "swt_live_drawdown_pips", series=0, numbers=0, points=0)
    undefined = replace(empty, series=1, points=9)
    assert not empty.well
    assert not undefined.well
    assert replace(undefined, expr="swt_live_win_loss_ratio").well
    assert replace(undefined, numbers=1).well


def test_the_provider_shows_the_folder_that_is_mounted() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "swt.yml").read_text())
    folder = provisioned["providers"][0]["options"]["path"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    mounts: list[Any] = compose["services"]["grafana"]["volumes"]
    assert f"./docker/grafana/dashboards:{folder}:ro" in mounts
    assert "./docker/grafana/provisioning:/etc/grafana/provisioning:ro" in mounts


def test_the_scrape_interval_is_what_grafana_is_told() -> None:
    told = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text())
    scraped = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())
    interval = scraped["global"]["scrape_interval"]
    assert told["datasources"][0]["jsonData"]["timeInterval"] == interval
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in scraped["scrape_configs"]}
    assert jobs["trainer"] == ["trainer:8081"]
    assert jobs["validator"] == ["validator:8082"]
    assert jobs["live"] == ["live:8080"]
