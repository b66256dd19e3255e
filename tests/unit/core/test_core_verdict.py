"""The verdict's schema and what it authorises."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from swt_core.config.models import SWTConfig
from swt_core.verdict import (
    Decision,
    Verdict,
    VerdictData,
    VerdictStatistics,
    judged_config_hash,
    verdict_path,
)

MODEL, CONFIG = "a" * 64, "c" * 64


def verdict(**changes: object) -> Verdict:
    fields: dict[str, object] = {
        "checkpoint_name": "checkpoint_v1.0.0_ep10_arch-swt.safetensors",
        "checkpoint_sha256": MODEL,
        "config_hash": CONFIG,
        "level": "FULL",
        "decision": Decision.DEPLOY,
        "score": 85.0,
        "grade": "A-",
        "data": VerdictData(
            source="bars.parquet", sha256="d" * 64, instrument="GBP_JPY", synthetic=False, start_s=0, end_s=60
        ),
        "statistics": VerdictStatistics(trades=120, profit_factor=math.inf),
        "created_s": 1000.0,
        "expires_s": 2000.0,
    }
    return Verdict.model_validate(fields | changes)


def refusals(judged: Verdict, *, now_s: float = 1500.0, real_money: bool = True) -> tuple[str, ...]:
    return judged.refusals(checkpoint_sha256=MODEL, config_hash=CONFIG, now_s=now_s, real_money=real_money)


def test_a_matching_unexpired_deploy_verdict_authorises() -> None:
    assert refusals(verdict()) == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"checkpoint_sha256": "b" * 64}, "judges checkpoint"),
        ({"config_hash": "b" * 64}, "configuration"),
        ({"decision": Decision.TEST}, "says TEST"),
        ({"decision": Decision.REJECT}, "says REJECT"),
        ({"expires_s": 1500.0}, "expired"),
    ],
)
def test_anything_that_does_not_match_is_refused_with_its_reason(
    changes: dict[str, object], word: str
) -> None:
    found = refusals(verdict(**changes))
    assert len(found) == 1
    assert word in found[0]


def test_synthetic_data_never_authorises_real_money_but_may_authorise_practice() -> None:
    data = verdict().data.model_copy(update={"synthetic": True})
    assert "real money" in refusals(verdict(data=data))[0]
    assert refusals(verdict(data=data), real_money=False) == ()


def test_a_verdict_survives_json_with_an_infinite_profit_factor() -> None:
    again = Verdict.model_validate_json(verdict().model_dump_json())
    assert again == verdict()
    assert again.statistics.profit_factor == math.inf


def test_unknown_fields_and_broken_hashes_are_refused() -> None:
    with pytest.raises(ValidationError):
        verdict(checkpoint_sha256="nonsense")
    with pytest.raises(ValidationError):
        verdict(surprise=1)


def test_the_judged_hash_sees_rules_but_not_ports() -> None:
    config = SWTConfig()
    port = config.model_copy(update={"live": config.live.model_copy(update={"health_port": 1})})
    rule = config.model_copy(
        update={"trading": config.trading.model_copy(update={"minimum_confidence": 0.5})}
    )
    assert judged_config_hash(port) == judged_config_hash(config)
    assert judged_config_hash(rule) != judged_config_hash(config)


def test_the_verdict_lies_under_its_checkpoints_hash() -> None:
    assert verdict_path(Path("v"), MODEL) == Path("v") / MODEL / "verdict.json"
