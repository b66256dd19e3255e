"""Where the learner computes; a pretended GPU is as strict as CUDA about where tensors lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from swt_core.config import SWTConfig
from swt_core.errors import ConfigError
from swt_environments.dataset import load_dataset
from swt_models.export import export_weights
from swt_training.diagnostics import NetworkProbe
from swt_training.feed import LearnerFeed
from swt_training.learner import Learner
from swt_training.placement import device_of, learner_device
from swt_training.replay import ReplayBuffer
from swt_training.run_config import learning_settings
from swt_training.run_setup import fresh_learner, learning_hash
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]
GPU = torch.device("cuda")


def there(value: Any) -> bool:
    """Whether a tensor lies on the pretended GPU."""
    return isinstance(value, Tensor) and getattr(value, "pretended", False)


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    else:
        yield value


class PretendedGPU(TorchFunctionMode):
    """Tensors that were sent to ``cuda`` stay CPU tensors with a mark; what CUDA would refuse is refused.

    Gradients and what else torch computes below Python are not looked at.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func == Tensor.device.__get__:
            return GPU if there(args[0]) else torch.device("cpu")
        if func in (Tensor.numpy, Tensor.tolist, Tensor.__array__) and there(args[0]):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        wanted = kwargs.get("device")
        if func in (Tensor.to, Tensor.cpu):
            places = [a for a in (*args[1:], wanted) if isinstance(a, (torch.device, str))]
            where = torch.device("cpu") if func is Tensor.cpu else torch.device(*places[:1] or [GPU])
            moved = [GPU if a in places else a for a in args]
            on_gpu = where.type == "cuda" if places or func is Tensor.cpu else there(args[0])
            arguments = ["cpu" if a is GPU else a for a in moved]
            kwargs.update({"device": "cpu"} if wanted is not None else {})
            found = func(*arguments, **kwargs)
            return marked(found.clone() if on_gpu != there(args[0]) else found, on_gpu)
        if wanted is not None:
            kwargs["device"] = "cpu"
            return marked(func(*args, **kwargs), torch.device(wanted).type == "cuda")
        given = [x for x in leaves((args, kwargs)) if isinstance(x, Tensor)]
        counted = [x for x in (args[0], *args[2:]) if isinstance(x, Tensor)] if indexes(func) else given
        on_gpu = any(there(x) for x in counted)
        if on_gpu and func not in MAY_MIX and any(not there(x) and x.dim() for x in counted):
            raise RuntimeError(f"Expected all tensors to be on the same device: {func}")
        found = func(*args, **kwargs)
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            marked(args[0], there(args[1]))
        for value in leaves(found):
            if isinstance(value, Tensor):
                marked(value, on_gpu)
        return found


MAY_MIX = {Tensor.copy_, Tensor.data.__set__, torch._has_compatible_shallow_copy_type}  # type: ignore[attr-defined]


def indexes(func: Any) -> bool:
    """Indices may lie on either side."""
    return func in (Tensor.__getitem__, Tensor.__setitem__)


def marked(tensor: Tensor, on_gpu: bool) -> Tensor:
    tensor.pretended = on_gpu  # type: ignore[attr-defined]
    return tensor


@contextmanager
def pretended_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """``cuda`` is there, and computes as the CPU does, bf16 included."""
    autocast, copied = torch.autocast, nn.Parameter.__deepcopy__

    def here(kind: str, *more: Any, **settings: Any) -> torch.autocast:
        return autocast("cpu", *more, **settings)

    def beside(parameter: nn.Parameter, memo: dict[int, Any]) -> nn.Parameter:
        found: nn.Parameter = copied(parameter, memo)  # type: ignore[no-untyped-call]
        marked(found, there(parameter))
        return found

    with monkeypatch.context() as pretending, PretendedGPU():
        pretending.setattr("swt_training.run_setup.learner_device", lambda _: GPU)
        pretending.setattr(torch, "autocast", here)
        pretending.setattr(nn.Parameter, "__deepcopy__", beside)
        yield


def with_training(config: SWTConfig, **settings: Any) -> SWTConfig:
    return config.model_copy(update={"training": config.training.model_copy(update=settings)})


def learned(config: SWTConfig, steps: int = 3) -> tuple[Learner, dict[str, Any]]:
    """A learner after some steps from market and replay, and all that it then holds, as arrays."""
    dataset = load_dataset(config)
    network, learner = fresh_learner(config, dataset)
    replay = ReplayBuffer.configured(config.training, config.data.session_bars)
    feed = LearnerFeed(config, dataset, replay)
    feed.fill(np.random.default_rng(1))
    parts = [feed.learn(learner, np.random.default_rng(step)) for step in range(steps)]
    looked = NetworkProbe(dataset, config.data.session_bars, network.codes).look(network)
    arrays = {f"weights/{k}": v for k, v in export_weights(network).items()}
    arrays |= {f"average/{k}": v for k, v in learner.average.weights().items()}
    arrays |= {f"optimizer/{k}": v for k, v in learner.optimizer.arrays().items()}
    return learner, {**arrays, "losses": [p.as_dict() for p in parts], "looked": looked.as_figures()}


@pytest.mark.parametrize("algorithm", ["path_value", "plain"])
@pytest.mark.parametrize("chance", ["outcomes", "codebook"])
def test_nothing_of_a_step_is_left_behind_on_the_cpu(
    small: SWTConfig, monkeypatch: pytest.MonkeyPatch, algorithm: str, chance: str
) -> None:
    """Networks, losses, optimizer and average on the device: a forgotten tensor is an error there."""
    model = small.model.model_copy(
        update={"chance": chance, "consistency_weight": 0.5 if chance == "codebook" else 0.0}
    )
    config = with_training(
        small.model_copy(update={"model": model}), algorithm=algorithm, initial_sessions=6, early_sessions=6
    )
    _, here = learned(config)
    with pretended_gpu(monkeypatch):
        learner, found = learned(config)
        networks = (learner.network, learner.average.network)
        assert all(there(p) for network in networks for p in network.parameters())
        assert device_of(learner.network) == learner.device == GPU
        slots = [v for p in learner.network.parameters() for v in learner.optimizer.moments(p).values()]
        assert slots
        assert all(there(v) for v in slots if v.dim())
    assert found.keys() == here.keys()
    for name, value in here.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_the_pretended_gpu_notices_a_tensor_that_was_left_behind() -> None:
    with PretendedGPU():
        far, near = torch.zeros(3, device="cuda"), torch.from_numpy(np.ones(3))
        assert far.device == GPU
        with pytest.raises(RuntimeError, match="same device"):
            far + near
        with pytest.raises(RuntimeError, match="same device"):
            torch.ones(3).to(GPU).masked_fill(near > 0, 0.0)
        with pytest.raises(TypeError, match="numpy"):
            (far + 1).numpy()
        assert (far + near.to(GPU)).cpu().numpy().tolist() == [1.0, 1.0, 1.0]


def test_a_state_saved_on_one_device_goes_on_on_the_other(
    small: SWTConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved arrays are the CPU's; restored moments lie where the weights are."""
    learner, arrays = learned(small)
    moments = learner.optimizer.arrays()
    with pretended_gpu(monkeypatch):
        _, other = fresh_learner(small, load_dataset(small))
        other.optimizer.restore(moments)
        back = other.optimizer.arrays()
    for name, array in moments.items():
        assert type(array) is np.ndarray
        np.testing.assert_array_equal(back[name], array, err_msg=name)
        np.testing.assert_array_equal(arrays[f"optimizer/{name}"], array, err_msg=name)


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [("auto", True, "cuda"), ("auto", False, "cpu"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_a_gpu_is_used_where_there_is_one_unless_the_cpu_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, wanted: Any, available: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert learner_device(wanted).type == expected


def test_a_gpu_that_is_absent_is_refused_with_field_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ConfigError, match=r"field training\.device is cuda.*\n.*training\.device to auto or cpu"
    ):
        learner_device("cuda")


def test_the_device_is_no_part_of_what_a_run_is(small: SWTConfig) -> None:
    other = with_training(small, device="auto")
    assert other.training.device != small.training.device
    assert learning_hash(other) == learning_hash(small)
    assert learning_settings(other) == learning_settings(small)


def test_a_run_goes_on_with_another_device_setting(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    begun = trainer_of(small, tmp_path, 100)
    begun._round()
    begun._save_state()
    resumed = trainer_of(with_training(small, device="auto"), tmp_path, 100)
    assert resumed.counters == begun.counters
    assert resumed.learner.device.type == learner_device("auto").type


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch has no GPU here")
@pytest.mark.parametrize("algorithm", ["path_value", "plain"])
def test_a_real_gpu_learns_what_the_cpu_learns(small: SWTConfig, algorithm: str) -> None:
    """Not bit for bit: sums are taken in another order."""
    # Muon computes in bf16 anyway, which rounds otherwise there: AdamW for all.
    config = with_training(
        small, algorithm=algorithm, initial_sessions=6, bfloat16=False, hidden_rate_factor=0.0
    )
    _, here = learned(with_training(config, device="cpu"))
    _, found = learned(with_training(config, device="cuda"))
    for name in ("losses", "looked"):
        np.testing.assert_equal(np.shape(found[name]), np.shape(here[name]))
    for mine, theirs in zip(found["losses"], here["losses"], strict=True):
        assert mine["total"] == pytest.approx(theirs["total"], rel=1e-3)
