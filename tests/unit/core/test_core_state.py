"""State files: atomic, versioned, honest about what is missing and what is broken."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from swt_core.clock import ManualClock
from swt_core.errors import StateError
from swt_core.json_text import to_json
from swt_core.state import (
    Heartbeat,
    StateDirectory,
    StateRecord,
    append_jsonl,
    flag,
    lower_flag,
    no_room,
    raise_flag,
    read_heartbeat,
    read_json,
    read_jsonl,
    write_bytes,
    write_heartbeat,
    write_json,
)


class Verdict(StateRecord):
    score: float
    label: str = "none"


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "verdict.json"
    write_json(path, Verdict(score=81.25, label="DEPLOY"))
    assert read_json(path, Verdict) == Verdict(score=81.25, label="DEPLOY")


def test_a_missing_file_means_not_yet(tmp_path: Path) -> None:
    assert read_json(tmp_path / "verdict.json", Verdict) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"score": "high"}', b"{}", b"\xff\xfe", b"null"])
def test_a_broken_file_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "verdict.json"
    path.write_bytes(content)
    with pytest.raises(StateError, match=r"verdict\.json is not a valid Verdict"):
        read_json(path, Verdict)


def test_a_directory_in_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot read"):
        read_json(tmp_path, Verdict)


def test_a_newer_writer_may_say_more(tmp_path: Path) -> None:
    path = tmp_path / "verdict.json"
    path.write_text('{"schema_version": 2, "score": 1.0, "unheard_of": []}')
    record = read_json(path, Verdict)
    assert record is not None
    assert (record.schema_version, record.score) == (2, 1.0)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_infinite_figures_are_valid_json_and_come_back(tmp_path: Path, value: float) -> None:
    path = tmp_path / "verdict.json"
    write_json(path, Verdict(score=value))
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    record = read_json(path, Verdict)
    assert record is not None
    assert record.score == value or (math.isnan(record.score) and math.isnan(value))


def test_everything_a_report_holds_becomes_plain_json() -> None:
    class Grade(Enum):
        A = "A+"

    @dataclass(frozen=True)
    class Part:
        pips: np.float32

    class Inner(BaseModel):
        n: int

    text = to_json(
        {
            "grade": Grade.A,
            "part": Part(np.float32(0.5)),
            "inner": Inner(n=3),
            "array": np.arange(3),
            "set": {3, 1},
            "path": Path("a/b"),
            "flag": np.bool_(True),
            1: (None, "x"),
        }
    )
    assert json.loads(text) == {
        "grade": "A+",
        "part": {"pips": 0.5},
        "inner": {"n": 3},
        "array": [0, 1, 2],
        "set": [1, 3],
        "path": "a/b",
        "flag": True,
        "1": [None, "x"],
    }


def test_what_json_has_no_word_for_is_refused_before_the_old_file_is_touched(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError, match="complex"):
        write_json(path, {"a": 1j})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_failed_replacement_keeps_the_old_content_and_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StateError, match="No space left"):
        write_json(path, {"a": 2})
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]
    assert json.loads(path.read_text()) == {"a": 1}


def test_content_is_on_disk_before_the_rename_publishes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (events.append("rename"), replace(a, b))[1])
    write_bytes(tmp_path / "x", b"1")
    assert events == ["fsync", "rename", "fsync"]


def test_other_users_may_read_what_was_written(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        write_json(tmp_path / "x.json", {})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "x.json").stat().st_mode) == 0o644


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    assert read_jsonl(path) == []
    for n in range(3):
        append_jsonl(path, {"n": n}, durable=n % 2 == 0)
    assert read_jsonl(path) == [{"n": 0}, {"n": 1}, {"n": 2}]


def test_lines_come_back_as_records(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    append_jsonl(path, Verdict(score=1.0))
    assert read_jsonl(path, Verdict) == [Verdict(score=1.0)]


@given(cut=st.integers(min_value=0, max_value=200), extra=st.integers(min_value=0, max_value=3))
def test_a_power_cut_at_any_byte_costs_at_most_the_line_being_written(
    tmp_path_factory: pytest.TempPathFactory, cut: int, extra: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / "ledger.jsonl"
    for n in range(5):
        append_jsonl(path, {"n": n, "text": "é" * n}, durable=False)
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    whole = content.count(b"\n")
    assert [row["n"] for row in read_jsonl(path)] == list(range(whole))
    for n in range(extra):
        append_jsonl(path, {"n": 100 + n}, durable=False)
    expected = [*range(whole), *range(100, 100 + extra)]
    assert [row["n"] for row in read_jsonl(path)] == expected


def test_a_torn_line_longer_than_a_block_is_dropped_too(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"n": 0}\n' + b"x" * 200_000)
    append_jsonl(path, {"n": 1})
    assert read_jsonl(path) == [{"n": 0}, {"n": 1}]


def test_a_file_that_is_one_torn_line_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"n": ')
    assert read_jsonl(path) == []
    append_jsonl(path, {"n": 1})
    assert read_jsonl(path) == [{"n": 1}]


@pytest.mark.parametrize(("line", "why"), [(b"{torn", "is not JSON"), (b"[1]", "is not a JSON object")])
def test_a_broken_line_in_the_middle_is_an_error_that_names_the_line(
    tmp_path: Path, line: bytes, why: str
) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(b'{"n": 0}\n' + line + b'\n{"n": 2}\n')
    with pytest.raises(StateError, match=rf"ledger\.jsonl:2 {why}"):
        read_jsonl(path)
    with pytest.raises(StateError, match=r"ledger\.jsonl:[12]"):
        read_jsonl(path, Verdict)


def test_unreadable_and_unwritable_logs_are_errors(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="cannot read"):
        read_jsonl(tmp_path)
    with pytest.raises(StateError, match="cannot append"):
        append_jsonl(tmp_path, {})


def test_a_heartbeat_knows_its_age(tmp_path: Path) -> None:
    clock = ManualClock(1000.0)
    assert read_heartbeat(tmp_path) is None
    write_heartbeat(tmp_path, clock, "training", {"episodes": 12})
    clock.advance(61)
    heartbeat = read_heartbeat(tmp_path)
    assert heartbeat is not None
    assert heartbeat == Heartbeat(
        time_s=1000.0, pid=os.getpid(), status="training", counters={"episodes": 12.0}
    )
    assert heartbeat.age_s(clock) == 61.0
    assert heartbeat.age_s(ManualClock(5.0)) == 0.0
    assert (heartbeat.ahead_s(clock), heartbeat.ahead_s(ManualClock(5.0))) == (0.0, 995.0)


def test_a_flag_is_there_or_not(tmp_path: Path) -> None:
    path = tmp_path / "state" / "START_TRADING"
    assert not flag(path)
    raise_flag(path, "by hand")
    assert flag(path)
    assert path.read_text() == "by hand"
    lower_flag(path)
    lower_flag(path)
    assert not flag(path)


def test_a_flag_in_a_place_nobody_may_look_at_is_unknown_not_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", denied)
    monkeypatch.setattr(Path, "unlink", denied)
    with pytest.raises(StateError, match="cannot look for"):
        flag(tmp_path / "EMERGENCY_STOP")
    with pytest.raises(StateError, match="cannot remove"):
        lower_flag(tmp_path / "EMERGENCY_STOP")


def test_a_state_directory_offers_the_same_by_name(tmp_path: Path) -> None:
    directory = StateDirectory(tmp_path / "validation_state")
    sub = directory.subdirectory("abc")
    sub.write("verdict.json", Verdict(score=2.0))
    sub.append("ledger.jsonl", Verdict(score=3.0))
    assert sub.read("verdict.json", Verdict) == Verdict(score=2.0)
    assert sub.lines("ledger.jsonl", Verdict) == [Verdict(score=3.0)]
    assert directory.heartbeat() is None
    directory.beat(ManualClock(3.0), "idle")
    assert directory.heartbeat() == Heartbeat(time_s=3.0, pid=os.getpid(), status="idle")
    directory.raise_flag("STOP")
    assert directory.flag("STOP")
    assert directory.file("STOP").exists()
    directory.lower_flag("STOP")
    assert not directory.flag("STOP")
    assert "validation_state" in repr(directory)


def test_a_directory_has_one_writer_who_sweeps_what_a_crash_left(tmp_path: Path) -> None:
    litter = tmp_path / ".x.json.1-1.tmp"
    litter.write_text("half")
    directory = StateDirectory(tmp_path)
    with directory.writer():
        assert not litter.exists()
        with pytest.raises(StateError, match="another process is writing"), directory.writer():
            pytest.fail("two writers")
    with directory.writer():
        pass


def test_a_writer_needs_a_directory_it_can_make(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StateError, match="cannot write in"),
        StateDirectory(tmp_path / "file" / "state").writer(),
    ):
        pytest.fail("a file is no directory")


@pytest.mark.parametrize(
    ("number", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False), (None, False)]
)
def test_a_full_disk_is_told_from_other_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int | None, full: bool
) -> None:
    if number is None:
        assert not no_room(StateError("of no write"))
        return

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("swt_core.state.os.replace", refuse)
    with pytest.raises(StateError) as refused:
        write_bytes(tmp_path / "x", b"")
    assert no_room(refused.value) is full
