"""Metrics and health over HTTP."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from swt_core.clock import ManualClock
from swt_core.errors import StateError
from swt_core.metrics import (
    Health,
    HealthServer,
    health_app,
    metrics_registry,
    register_state,
    while_it_beats,
)
from swt_core.state import StateDirectory


def test_a_daemon_shows_its_health_and_metrics() -> None:
    registry = metrics_registry("trainer")
    Counter("swt_episodes", "Episodes played", registry=registry).inc(3)
    health = Health(True, "idle: no START_TRADING", {"age_s": 1.5, "profit_factor": float("inf")})
    with HealthServer(registry, lambda: health) as server, httpx.Client(base_url=server.url) as client:
        reply = client.get("/health")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "application/json"
        assert reply.json() == {
            "healthy": True,
            "status": "idle: no START_TRADING",
            "age_s": 1.5,
            "profit_factor": "Infinity",
        }
        families = {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}
        assert client.get("/nothing").status_code == 404
    assert families["swt_episodes"].samples[0].value == 3
    assert families["swt_service_info"].samples[0].labels == {"service": "trainer"}
    assert families["process_resident_memory_bytes"].samples[0].value > 1e7
    assert families["swt_process_tree_resident_memory_bytes"].samples[0].value > 1e7
    assert families["swt_process_tree_cpu_seconds"].samples[0].value > 0
    assert families["swt_process_threads"].samples[0].value >= 1
    assert all(family.documentation for family in families.values())


def test_the_heartbeat_grows_old_while_nobody_writes_one(tmp_path: Path) -> None:
    clock, registry = ManualClock(1_000.0), metrics_registry("trainer")
    state = StateDirectory(tmp_path)
    register_state(registry, state, clock)
    assert registry.get_sample_value("swt_heartbeat_age_seconds") is None
    state.beat(clock, "training")
    clock.advance(90.0)
    assert registry.get_sample_value("swt_heartbeat_age_seconds") == 90.0
    free = registry.get_sample_value("swt_state_disk_free_bytes")
    size = registry.get_sample_value("swt_state_disk_size_bytes")
    assert free is not None
    assert size is not None
    assert 0 < free <= size


def test_health_is_believed_only_while_the_heartbeat_is_fresh(tmp_path: Path) -> None:
    clock, state = ManualClock(1_000.0), StateDirectory(tmp_path)
    known = Health(True, "flat", {"units": 0})
    health = while_it_beats(lambda: known, state, clock)
    assert health() == known
    state.beat(clock, "flat")
    clock.advance(180.0)
    assert health().healthy
    clock.advance(1.0)
    assert health() == Health(False, "hangs: no heartbeat for 181 s", {"units": 0})
    state.beat(clock, "starting: loading bars")
    clock.advance(900.0)
    assert health().healthy
    known = Health(False, "the journal cannot be written")
    clock.advance(1.0)
    assert health() == known
    known = Health(True, "flat")
    (tmp_path / "heartbeat.json").write_text("{")
    assert not health().healthy


def test_after_a_step_back_of_the_clock_health_is_ill_until_the_next_heartbeat(tmp_path: Path) -> None:
    """The last heartbeat of a daemon that hangs would be young for an hour."""
    clock, state = ManualClock(1_000.0), StateDirectory(tmp_path)
    health = while_it_beats(lambda: Health(True, "flat", {"units": 0}), state, clock)
    state.beat(ManualClock(1_060.0), "flat")
    assert health().healthy
    state.beat(ManualClock(4_600.0), "flat")
    reason = "the heartbeat is stamped 3600 s in the future: the clock was set back"
    assert health() == Health(False, reason, {"units": 0})
    clock.advance(60.0)
    state.beat(clock, "flat")
    assert health().healthy


def test_a_broken_heartbeat_or_a_missing_directory_leaves_its_figures_out(tmp_path: Path) -> None:
    registry = metrics_registry("live")
    (tmp_path / "heartbeat.json").write_text("{")
    register_state(registry, StateDirectory(tmp_path), ManualClock(0.0))
    assert registry.get_sample_value("swt_heartbeat_age_seconds") is None
    gone = metrics_registry("live")
    register_state(gone, StateDirectory(tmp_path / "gone"), ManualClock(0.0))
    assert gone.get_sample_value("swt_state_disk_free_bytes") is None


def test_children_count_with_their_parent() -> None:
    registry = metrics_registry("trainer")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert (registry.get_sample_value("swt_process_children") or 0.0) >= 1.0
        whole = registry.get_sample_value("swt_process_tree_resident_memory_bytes") or 0.0
        alone = registry.get_sample_value("process_resident_memory_bytes") or 0.0
        assert whole > alone * 0.5
        child.communicate(b"\n")


async def test_an_unhealthy_daemon_says_so_with_503() -> None:
    app = health_app(metrics_registry("live"), lambda: Health(False, "feed stale"))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        reply = await client.get("/health")
    assert (reply.status_code, reply.json()) == (503, {"healthy": False, "status": "feed stale"})


async def test_a_health_check_that_fails_is_unhealthy() -> None:
    def broken() -> Health:
        raise RuntimeError("journal is closed")

    app = health_app(metrics_registry("live"), broken)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        reply = await client.get("/health")
    assert reply.status_code == 503
    assert "journal is closed" in reply.json()["status"]


def test_a_taken_port_is_an_error_with_a_remedy() -> None:
    registry = metrics_registry("x")
    with HealthServer(registry, lambda: Health(True, "ok")) as server:
        second = HealthServer(registry, lambda: Health(True, "ok"), port=server.port)
        with pytest.raises(StateError, match="cannot listen on"):
            second.start()
        second.stop()


def test_a_container_names_the_address_and_a_caller_may_name_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWT_HEALTH_HOST", "127.0.0.2")
    registry = metrics_registry("x")
    with HealthServer(registry, lambda: Health(True, "ok")) as server:
        assert server.url.startswith("http://127.0.0.2:")
        assert httpx.get(f"{server.url}/health").status_code == 200
    with HealthServer(registry, lambda: Health(True, "ok"), "127.0.0.1") as server:
        assert server.url.startswith("http://127.0.0.1:")
    monkeypatch.delenv("SWT_HEALTH_HOST")
    with HealthServer(registry, lambda: Health(True, "ok")) as server:
        assert server.url.startswith("http://127.0.0.1:")


def test_a_server_that_was_not_started_has_no_port_and_stops_quietly() -> None:
    server = HealthServer(metrics_registry("x"), lambda: Health(True, "ok"))
    with pytest.raises(StateError, match="not been started"):
        _ = server.port
    server.stop()


def test_stopping_frees_the_port() -> None:
    with HealthServer(metrics_registry("x"), lambda: Health(True, "ok")) as first:
        port = first.port
    first.stop()
    with HealthServer(metrics_registry("x"), lambda: Health(True, "ok"), port=port) as again:
        assert httpx.get(f"{again.url}/health").status_code == 200


def test_registries_do_not_share_metrics() -> None:
    one, two = metrics_registry("one"), metrics_registry("two")
    Counter("swt_only_here", "Test", registry=one)
    assert "swt_only_here" not in {metric.name for metric in two.collect()}
