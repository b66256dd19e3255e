"""Each rule of the success memory on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from swt_core.config import SWTConfig
from swt_environments.dataset import load_dataset
from swt_inference.rollout import RandomPolicy, play
from swt_models.export import Weights, export_weights
from swt_training import feed as feed_module
from swt_training.batches import SessionBatch, session_batch
from swt_training.feed import LearnerFeed
from swt_training.replay import ReplayBuffer
from swt_training.run_setup import fresh_learner
from swt_training.session_table import SessionTable
from swt_training.success_memory import HISTORY_BEFORE_QUANTILE, SuccessMemory, SuccessRules

STEPS = 6


def played(best: list[float], expectancy: list[float], first: int = 0) -> SessionTable:
    count = len(best)
    return SessionTable(
        episodes=first + np.arange(count),
        first_rows=1000 + first + np.arange(count),
        actions=np.ones((count, STEPS), np.int8),
        visit_shares=np.full((count, STEPS, 4), 0.25, np.float16),
        root_values=np.zeros((count, STEPS), np.float32),
        best_trade_pips=np.array(best, np.float32),
        expectancy_pips=np.array(expectancy, np.float32),
    )


def episodes(memory: SuccessMemory) -> list[int]:
    return memory.table.episodes.tolist()


def test_a_trade_above_the_threshold_is_a_success_however_the_session_went() -> None:
    memory = SuccessMemory(SuccessRules(trade_pips=5.0), STEPS)
    memory.offer(played([5.0, 5.1], [-20.0, -20.0]))
    assert episodes(memory) == [1]


def test_a_session_without_a_trade_is_no_success_and_no_history() -> None:
    memory = SuccessMemory(SuccessRules(), STEPS)
    memory.offer(played([np.nan] * 30, [np.nan] * 30))
    assert len(memory) == 0
    assert memory.arrays()["history"].size == 0


def test_until_enough_have_traded_a_success_has_earned_at_all() -> None:
    memory = SuccessMemory(SuccessRules(), STEPS)
    memory.offer(played([1.0, 1.0, 1.0], [-0.5, 0.0, 0.5]))
    assert episodes(memory) == [2]


def test_the_top_fifth_of_the_history_enters_and_the_threshold_adapts() -> None:
    memory = SuccessMemory(SuccessRules(quantile=0.8), STEPS)
    losses = [-float(x) for x in range(1, 101)]
    memory.offer(played([-1.0] * 100, losses))
    assert memory.threshold_pips == pytest.approx(np.quantile(losses, 0.8))
    before = len(memory)
    memory.offer(played([-1.0, -1.0], [memory.threshold_pips + 0.5, -60.0], first=200))
    assert episodes(memory)[before:] == [200], "the less bad of the bad ones is the success of now"


def test_each_session_is_judged_by_those_before_it() -> None:
    memory = SuccessMemory(SuccessRules(), STEPS)
    memory.offer(played([-1.0] * HISTORY_BEFORE_QUANTILE, [-1.0] * HISTORY_BEFORE_QUANTILE))
    memory.offer(played([-1.0, -1.0], [-1.0, -0.9], first=50))
    assert episodes(memory) == [51]


def test_the_history_forgets_what_is_older_than_its_length() -> None:
    memory = SuccessMemory(SuccessRules(history_episodes=20), STEPS)
    memory.offer(played([100.0] * 20, [100.0] * 20))
    memory.offer(played([-1.0] * 20, [-1.0] * 20, first=20))
    assert memory.threshold_pips == -1.0


def test_the_worst_is_evicted_first_and_of_equals_the_oldest() -> None:
    memory = SuccessMemory(SuccessRules(capacity_sessions=3), STEPS)
    memory.offer(played([9.0, 6.0, 9.0, 20.0, 7.0], [1.0] * 5))
    assert episodes(memory) == [0, 2, 3]
    memory.offer(played([9.0], [1.0], first=9))
    assert episodes(memory) == [2, 3, 9]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.1, 0.15])
@pytest.mark.parametrize("batch", [1, 4, 10, 16, 20, 64])
def test_a_batch_never_holds_more_successes_than_its_share(share: float, batch: int) -> None:
    buffer = ReplayBuffer(100 * STEPS, STEPS, 0.3)
    buffer.add(played([10.0] * 20, [1.0] * 20), np.random.default_rng(0))
    count = buffer.successes_in(batch, share, replayed=batch)
    assert count == int(batch * share)
    assert count <= 0.15 * batch


def test_no_batch_of_the_fast_beginning_holds_more_successes_than_its_share(
    small: SWTConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The share is one of the sessions that are really in the batch: the first ones hold six."""
    training = small.training.model_copy(
        update={
            "sessions_per_step": 16,
            "replayed_sessions_per_step": 4,
            "early_sessions": 512,
            "early_gradient_steps": 1,
            "success_share": 0.15,
            "initial_sessions": 60,
            "initial_policy": "random",
        }
    )
    config = small.model_copy(update={"training": training})
    dataset = load_dataset(config)
    replay = ReplayBuffer.configured(training, config.data.session_bars)
    feed = LearnerFeed(config, dataset, replay)
    feed.fill(np.random.default_rng(0))
    assert len(replay.success) > 0
    batches: list[SessionBatch] = []

    def seen(*args: Any, **kwargs: Any) -> SessionBatch:
        batches.append(session_batch(*args, **kwargs))
        return batches[-1]

    monkeypatch.setattr(feed_module, "session_batch", seen)
    learner = fresh_learner(config, dataset)[1]
    for step in range(8):
        feed.learn(learner, np.random.default_rng(step))
    sizes = [len(batch.first_rows) for batch in batches]
    assert sizes[0] == training.early_sessions_per_step == 6
    assert sizes[-1] == training.sessions_per_step
    for size, batch in zip(sizes, batches, strict=True):
        assert batch.selected_by_outcome <= 0.15 * size
    assert batches[-1].selected_by_outcome == 2, "where there is room for some they are drawn"


def test_the_configured_share_is_at_most_fifteen_hundredths() -> None:
    training = SWTConfig().training.model_dump()
    with pytest.raises(ValueError, match="success_share"):
        type(SWTConfig().training).model_validate({**training, "success_share": 0.16})


def test_successes_stand_last_in_a_sample_and_come_from_the_memory() -> None:
    buffer = ReplayBuffer(4 * STEPS, STEPS, 0.0)
    buffer.add(played([30.0], [5.0]), np.random.default_rng(0))
    buffer.add(played([-3.0] * 8, [-3.0] * 8, first=1), np.random.default_rng(0))
    assert 1000 not in buffer.table.first_rows, "the buffer has long forgotten it"
    drawn = buffer.sample(6, np.random.default_rng(1), successes=2).first_rows
    assert drawn[-2:].tolist() == [1000, 1000]
    assert (drawn[:4] > 1000).all()


def test_what_is_saved_is_what_comes_back() -> None:
    buffer = ReplayBuffer(50 * STEPS, STEPS, 0.3)
    buffer.add(played([9.0, -1.0] * 20, [2.0, -1.0] * 20), np.random.default_rng(0))
    other = ReplayBuffer(50 * STEPS, STEPS, 0.3)
    other.restore(buffer.arrays())
    assert other.success.threshold_pips == buffer.success.threshold_pips
    left, right = (b.sample(9, np.random.default_rng(2), 4) for b in (buffer, other))
    np.testing.assert_array_equal(left.first_rows, right.first_rows)


def test_values_and_gradients_know_nothing_of_sessions_chosen_by_their_outcome(small: SWTConfig) -> None:
    training = small.training.model_copy(update={"bfloat16": False, "sessions_per_step": 5})
    config = small.model_copy(update={"training": training})
    dataset, steps = load_dataset(config), config.data.session_bars
    rows = dataset.splits.train.starts[:5]
    result = play(
        RandomPolicy(0.2, np.random.default_rng(0)),
        dataset.market,
        rows[3:],
        rows[3:] + steps - 1,
        record=True,
    )

    def batch(selected: int) -> SessionBatch:
        rng = np.random.default_rng(1)
        drawn = result.trajectories
        return session_batch(dataset.market, rows[:3], steps, 3, rng, drawn, 0.01, selected)

    def lucky(plain: SessionBatch) -> SessionBatch:
        rewards, codes = plain.rewards.copy(), plain.codes.copy()
        rewards[-1] += 50.0 * (rewards[-1] != 0)
        codes[-1] = 2
        return replace(plain, rewards=rewards, codes=codes)

    def learned(given: SessionBatch) -> Weights:
        network, learner = fresh_learner(config, dataset)
        for _ in range(2):  # heads start at zero: what is below them moves from the second step on
            learner.step(given, np.random.default_rng(2))
        return export_weights(network)

    for name, array in learned(batch(1)).items():
        np.testing.assert_array_equal(array, learned(lucky(batch(1)))[name], err_msg=name)
    open_weights = learned(lucky(batch(0)))
    assert any(not np.array_equal(array, open_weights[name]) for name, array in learned(batch(0)).items())


def test_what_search_thought_in_them_is_learned(small: SWTConfig) -> None:
    training = small.training.model_copy(update={"bfloat16": False, "sessions_per_step": 3})
    config = small.model_copy(update={"training": training})
    dataset, steps = load_dataset(config), config.data.session_bars
    rows = dataset.splits.train.starts[:3]
    table = SessionTable.empty(steps)
    one = {name: np.zeros((1, *array.shape[1:])) for name, array in table.arrays().items()}
    one["first_rows"] = rows[2:]
    found = []
    for action in (0, 1):
        one["visit_shares"] = np.zeros((1, steps, 4))
        one["visit_shares"][..., action] = 1.0
        drawn = SessionTable.from_arrays(one).trajectories()
        given = session_batch(dataset.market, rows[:2], steps, 3, np.random.default_rng(0), drawn, 0.01, 1)
        network, learner = fresh_learner(config, dataset)
        learner.step(given, np.random.default_rng(0))
        found.append(export_weights(network)["prediction.heads.outputs.policy.bias"])
    assert not np.array_equal(found[0], found[1])
