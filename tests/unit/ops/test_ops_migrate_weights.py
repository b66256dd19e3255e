"""Weights that torch saved: mapped where the network is the same, refused with the reason where not."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from swt_core.checkpoints import CheckpointStore
from swt_core.config import SWTConfig
from swt_core.errors import CheckpointError, IncompatibleModelError
from swt_models.export import export_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape
from swt_ops.migrate_weights import differences, import_pth, read_pth, save_imported

CONFIG = SWTConfig.model_validate({"model": {"hidden_dim": 16, "support_bins": 11}})
SHAPE = ObservationShape(market=128, position=9)


@pytest.fixture(scope="module")
def network() -> StochasticMuZeroNetwork:
    torch.manual_seed(1)
    return StochasticMuZeroNetwork(CONFIG.model, SHAPE)


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize("wrapper", [None, "model_state", "model_state_dict", "state_dict"])
def test_the_same_network_is_mapped_bit_for_bit(
    tmp_path: Path, network: StochasticMuZeroNetwork, wrapper: str | None
) -> None:
    state: Any = network.state_dict()
    if wrapper:
        state = {
            wrapper: {f"module.{name}": value for name, value in state.items()},
            "episode": 5,
            "optim": {},
        }
    found = import_pth(saved(tmp_path / "a.pth", state), CONFIG, SHAPE)
    expected = export_weights(network)
    assert found.weights.keys() == expected.keys()
    assert all(np.array_equal(found.weights[name], value) for name, value in expected.items())
    assert found.other == (("episode", "optim") if wrapper else ())


def test_a_dictionary_for_each_network_is_flattened(tmp_path: Path) -> None:
    nested = {
        "model_state": {"representation": {"a.weight": torch.ones(2, 3)}, "policy": {"b": torch.ones(1)}}
    }
    tensors, _ = read_pth(saved(tmp_path / "a.pth", nested))
    assert set(tensors) == {"representation.a.weight", "policy.b"}


class Trap:
    """What a pickle can do to who loads it."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.victim),)


def test_code_in_a_file_is_never_run(tmp_path: Path) -> None:
    victim = tmp_path / "ran"
    path = saved(tmp_path / "trap.pth", {"model_state": Trap(victim)})
    with pytest.raises(CheckpointError, match="more than weights"):
        read_pth(path)
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Trap(victim)))
    with pytest.raises(CheckpointError, match="more than weights"):
        read_pth(tmp_path / "raw.pth")
    assert not victim.exists()


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="not there"):
        read_pth(tmp_path / "absent.pth")
    (tmp_path / "torn.pth").write_bytes(b"PK\x03\x04half")
    with pytest.raises(CheckpointError, match="damaged"):
        read_pth(tmp_path / "torn.pth")
    with pytest.raises(CheckpointError, match="list"):
        read_pth(saved(tmp_path / "list.pth", [1, 2]))
    with pytest.raises(CheckpointError, match="no weights"):
        read_pth(saved(tmp_path / "none.pth", {"model_state": {"episode": 3}}))


def micro_of_the_original() -> dict[str, Any]:
    """Names and shapes as the original's micro networks had them; the outcome network was never saved."""
    return {
        "model_state": {
            "representation": {
                "tcn.0.conv1.weight": torch.zeros(240, 9, 3),
                "tcn.0.bn1.running_mean": torch.zeros(240),
                "static.weight": torch.zeros(16, 6),
            },
            "dynamics": {"input.weight": torch.zeros(256, 263)},
            "policy": {"head.weight": torch.zeros(4, 256)},
            "value": {"head.weight": torch.zeros(601, 256)},
        },
        "optimizer_state": {},
        "episode": 13475,
    }


def test_the_originals_micro_network_is_refused_with_every_reason(tmp_path: Path) -> None:
    path = saved(tmp_path / "original.pth", micro_of_the_original())
    with pytest.raises(IncompatibleModelError) as refused:
        import_pth(path, CONFIG, SHAPE)
    for reason in ("statistics of batches", "240 channels", "one row of 263", "no afterstate", "missing"):
        assert reason in refused.value.message, reason


def test_another_width_is_refused_with_both_shapes(tmp_path: Path) -> None:
    other = CONFIG.model_copy(update={"model": CONFIG.model.model_copy(update={"hidden_dim": 32})})
    path = saved(tmp_path / "wide.pth", StochasticMuZeroNetwork(other.model, SHAPE).state_dict())
    with pytest.raises(IncompatibleModelError, match=r"action_embedding.weight is 32×4 there and 16×4 here"):
        import_pth(path, CONFIG, SHAPE)


def test_the_same_names_and_shapes_differ_in_nothing() -> None:
    assert differences({"a": (1,)}, {"a": (1,)}) == []
    assert differences({"a": ()}, {"a": (2,)}) == ["of another shape: a is one number there and 2 here"]


def test_imported_weights_may_begin_a_training_and_count_as_having_read_everything(
    tmp_path: Path, network: StochasticMuZeroNetwork
) -> None:
    found = import_pth(saved(tmp_path / "a.pth", network.state_dict()), CONFIG, SHAPE)
    store = CheckpointStore(tmp_path / "checkpoints")
    ref = save_imported(
        found, store, CONFIG, SHAPE, "f1", name="a.pth", written_s=1_700_000_000.0, now_s=1_800_000_000.0
    )
    weights, metadata = store.load(ref)
    assert metadata.data.synthetic
    assert (metadata.data.train_start_s, metadata.data.train_end_s) == (0, 1_700_000_000)
    assert metadata.data.test_start_s == metadata.data.test_end_s
    assert metadata.extra["imported_sha256"] == found.sha256
    assert all(np.array_equal(weights[name], value) for name, value in found.weights.items())
    assert store.best() is None
