"""Configuration: precedence, origins, and errors a person can act on."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from swt_core.config import SWTConfig
from swt_core.config.episode_13475 import LOCKED, verify_episode_13475
from swt_core.config.loading import (
    PACKAGED_CONFIG_DIR,
    config_hash,
    find_config_dir,
    leaves,
    load_config,
    profile_names,
)
from swt_core.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parents[3]
PROFILES = ("demo", "episode_13475", "full", "micro")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "training.yaml").write_text("seed: 1\nreward: clean\n")
    (tmp_path / "trading.yaml").write_text("units: 2\n\nsearch:\n  simulations: 9\n")
    (tmp_path / "profiles" / "fast.yaml").write_text("training:\n  seed: 2\nvalidation: {level: QUICK}\n")
    return tmp_path


def error(directory: Path, **options: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(directory, **options)  # type: ignore[arg-type]
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_what_is_not_set_is_the_default(directory: Path) -> None:
    loaded = load_config(directory)
    assert loaded.config.model == SWTConfig().model
    assert loaded.origins["model.hidden_dim"] == "default"


def test_each_value_knows_its_file_and_line(directory: Path) -> None:
    origins = load_config(directory, "fast").origins
    assert origins["training.reward"] == f"{directory / 'training.yaml'}:2"
    assert origins["trading.search.simulations"] == f"{directory / 'trading.yaml'}:4"
    assert origins["training.seed"] == f"{directory / 'profiles' / 'fast.yaml'}:2 (profile fast)"
    assert origins["validation.level"] == f"{directory / 'profiles' / 'fast.yaml'}:3 (profile fast)"


def test_yaml_gives_way_to_profile_to_environment_to_command_line(directory: Path) -> None:
    environ = {"SWT_TRAINING__SEED": "3", "SWT_TRADING__SEARCH__SIMULATIONS": "11"}
    seeds = [
        load_config(directory).config.training.seed,
        load_config(directory, "fast").config.training.seed,
        load_config(directory, "fast", environ).config.training.seed,
        load_config(directory, "fast", environ, ["training.seed=4"]).config.training.seed,
        load_config(directory, "fast", environ, ["training.seed=4", "training.seed=5"]).config.training.seed,
    ]
    assert seeds == [1, 2, 3, 4, 5]
    loaded = load_config(directory, "fast", environ, ["training.seed=4"])
    assert loaded.config.trading.search.simulations == 11
    assert loaded.config.trading.units == 2
    assert loaded.origins["trading.search.simulations"] == "environment SWT_TRADING__SEARCH__SIMULATIONS"
    assert loaded.origins["training.seed"] == "command line training.seed"
    assert loaded.profile == "fast"
    assert loaded.config_dir == directory


def test_every_value_has_an_origin() -> None:
    loaded = load_config(PACKAGED_CONFIG_DIR)
    assert list(loaded.origins) == [".".join(path) for path, _ in leaves(loaded.config)]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("training.learning_rate=1e-3", "training.learning_rate", 1e-3),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
        ("training.maximum_minutes=null", "training.maximum_minutes", None),
        ("training.maximum_minutes= 2.5 ", "training.maximum_minutes", 2.5),
        ("training.bfloat16=false", "training.bfloat16", False),
        ("live.account_id=0012", "live.account_id", "0012"),
        ("data.bars_file=null", "data.bars_file", None),
        ("data.bars_file=2019", "data.bars_file", "2019"),
        ("data.bars_file=a=b.parquet", "data.bars_file", "a=b.parquet"),
        ("live.broker_url=http://127.0.0.1:1", "live.broker_url", "http://127.0.0.1:1"),
        ("training.decay_sessions=20_000", "training.decay_sessions", 20_000),
        ("model.support_min_pips=-1e2", "model.support_min_pips", -100.0),
        ("data.bars_file=x: [", "data.bars_file", "x: ["),
    ],
)
def test_text_becomes_the_value_the_field_means(text: str, key: str, value: object) -> None:
    config = load_config(PACKAGED_CONFIG_DIR, overrides=[text]).config
    assert {".".join(path): leaf for path, leaf in leaves(config)}[key] == value


def test_a_wrong_type_names_line_field_and_what_is_allowed(directory: Path) -> None:
    (directory / "training.yaml").write_text("seed: 1\n\nunroll_steps: many\n")
    message = error(directory)
    assert f"{directory / 'training.yaml'}:3: training.unroll_steps" in message
    assert "'many' is not allowed; allowed: a whole number ≥ 1 and ≤ 20" in message
    assert "steps the model is unrolled" in message


def test_all_mistakes_are_told_at_once(directory: Path) -> None:
    message = error(
        directory,
        overrides=["training.seed=-1", "training.bfloat16=1", "training.reward=x", "trading.search=5"],
        environ={"SWT_TRAINING__MAXIMUM_MINUTES": "true"},
    )
    lines = message.splitlines()
    assert len(lines) == 5
    assert any(
        line.startswith("command line training.seed: training.seed: -1") and "≥ 0" in line for line in lines
    )
    assert any("training.bfloat16: 1 is not allowed; allowed: true or false" in line for line in lines)
    assert any("one of clean, amddp1, amddp5, dense" in line for line in lines)
    assert any("trading.search: 5" in line and "a section of" in line for line in lines)
    assert any(
        line.startswith("environment SWT_TRAINING__MAXIMUM_MINUTES") and "a number > 0 or null" in line
        for line in lines
    )


@pytest.mark.parametrize(
    ("file", "text", "where", "hint"),
    [
        ("training.yaml", "sed: 1\n", ":1: training.sed: unknown key", "did you mean seed?"),
        (
            "trading.yaml",
            "search:\n  simulation: 1\n",
            ":2: trading.search.simulation",
            "did you mean simulations?",
        ),
        ("model.yaml", "zzz: 1\n", ":1: model.zzz: unknown key", "allowed: hidden_dim"),
    ],
)
def test_an_unknown_key_names_its_line_and_the_nearest_known(
    directory: Path, file: str, text: str, where: str, hint: str
) -> None:
    (directory / file).write_text(text)
    message = error(directory)
    assert where in message
    assert hint in message


def test_an_unknown_section_in_the_environment_is_named(directory: Path) -> None:
    message = error(directory, environ={"SWT_TRAINNING__SEED": "1"})
    assert "environment SWT_TRAINNING__SEED: trainning: unknown section; did you mean training?" in message


def test_variables_that_are_not_settings_are_left_alone(directory: Path) -> None:
    environ = {"SWT_DATA_DIR": "x", "PATH": "y", "SWTX__A": "z", "SWT_PROFILE": "p"}
    assert load_config(directory, environ=environ).config == load_config(directory).config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: [\n", "training.yaml:2"),
        ("seed: 1\nseed: 2\n", "training.yaml:2: training.seed is set twice"),
        ("- 1\n", "training.yaml:1: a section is"),
        ("just text\n", "training.yaml:1: a section is"),
        ("[1]: 2\n", "training.yaml:1: a key must be a word"),
        ("seed: !!python/object:os.system x\n", "training.yaml:1"),
        ("seed: 1\x00\n", "training.yaml"),
        ("seed: .inf\n", "training.yaml:1: training.seed"),
        ("learning_rate: 1e999\n", "training.yaml:1: training.learning_rate"),
        ("seed: null\n", "null is not allowed"),
        ("seed: {a: 1}\n", "training.seed"),
    ],
)
def test_yaml_that_means_nothing_names_its_line(directory: Path, text: str, message: str) -> None:
    (directory / "training.yaml").write_text(text)
    assert message in error(directory)


def test_a_file_that_is_not_text_is_named(directory: Path) -> None:
    (directory / "training.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot read" in error(directory)


@pytest.mark.parametrize("text", ["", "# nothing but comments\n", "{}\n"])
def test_an_empty_file_changes_nothing(directory: Path, text: str) -> None:
    (directory / "training.yaml").write_text(text)
    (directory / "profiles" / "fast.yaml").write_text("training:\n")
    assert load_config(directory, "fast").config.training == SWTConfig().training


@pytest.mark.parametrize("name", ["trainng.yaml", "training.yml", "secrets.yaml"])
def test_a_file_that_is_no_area_is_refused_not_ignored(directory: Path, name: str) -> None:
    (directory / name).write_text("seed: 1\n")
    message = error(directory)
    assert name in message
    assert "process_limits.yaml" in message


@pytest.mark.parametrize("name", ["slow", "../fast", "", "fast.yaml"])
def test_an_unknown_profile_is_refused_with_the_known_ones(directory: Path, name: str) -> None:
    assert "use one of demo, episode_13475, fast, full, micro" in error(directory, profile=name)


def test_packaged_profiles_work_over_an_own_directory(directory: Path) -> None:
    loaded = load_config(directory, "demo")
    assert loaded.config.trading.units == 2
    assert loaded.config.live.allow_unvalidated


@pytest.mark.parametrize("text", ["training.seed", "seed=1", "=1", "training.=1", ".seed=1"])
def test_an_option_that_sets_nothing_is_refused(directory: Path, text: str) -> None:
    assert "is not section.key=value" in error(directory, overrides=[text])


def test_a_named_directory_must_be_there(tmp_path: Path) -> None:
    assert "is no directory" in error(tmp_path / "none")


def test_the_local_directory_comes_first_then_the_packaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config_dir() == PACKAGED_CONFIG_DIR
    (tmp_path / "config").mkdir()
    assert find_config_dir() == PACKAGED_CONFIG_DIR
    (tmp_path / "config" / "data.yaml").write_text("market: faint\n")
    assert find_config_dir() == Path("config")
    assert load_config().config.data.market == "faint"


def test_the_packaged_defaults_are_the_repository_s_files() -> None:
    assert PACKAGED_CONFIG_DIR.resolve() == REPOSITORY / "config"
    assert {path.stem for path in PACKAGED_CONFIG_DIR.glob("*.yaml")} == set(SWTConfig.model_fields)


def test_the_yaml_files_say_what_the_models_default_to() -> None:
    loaded = load_config(PACKAGED_CONFIG_DIR)
    differing = {
        ".".join(path): (value, default)
        for (path, value), (_, default) in zip(leaves(loaded.config), leaves(SWTConfig()), strict=True)
        if value != default
    }
    assert differing == {}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid(profile: str) -> None:
    assert set(PROFILES) <= set(profile_names(PACKAGED_CONFIG_DIR))
    assert load_config(PACKAGED_CONFIG_DIR, profile).config != SWTConfig()


def test_the_demo_is_short_and_trades_unvalidated_at_the_embedded_broker_only() -> None:
    config = load_config(PACKAGED_CONFIG_DIR, "demo").config
    assert config.data.market == "regimes"
    assert config.training.maximum_minutes is not None
    assert config.training.maximum_minutes < 3
    assert (config.live.environment, config.live.allow_unvalidated) == ("embedded", True)
    assert not load_config(PACKAGED_CONFIG_DIR).config.live.allow_unvalidated


def test_each_field_says_what_it_means() -> None:
    def missing(model: type[BaseModel]) -> list[str]:
        names = []
        for name, field in model.model_fields.items():
            annotation = field.annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                names += missing(annotation)
            elif not field.description:
                names.append(name)
        return names

    assert missing(SWTConfig) == []


def test_the_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        SWTConfig().training.seed = 1


def test_the_hash_follows_values_not_origins(directory: Path) -> None:
    base = config_hash(load_config(directory).config)
    assert config_hash(load_config(directory, environ={"SWT_TRAINING__SEED": "1"}).config) == base
    other = load_config(directory, overrides=["training.seed=2"]).config
    assert config_hash(other) != base
    assert config_hash(other, ["model", "features"]) == config_hash(
        load_config(directory).config, ["features", "model"]
    )
    assert len(base) == 64


def test_the_profile_episode_13475_has_every_locked_value() -> None:
    assert verify_episode_13475(load_config(PACKAGED_CONFIG_DIR, "episode_13475").config) == []


@pytest.mark.parametrize("key", LOCKED)
def test_each_locked_parameter_that_moves_is_a_deviation(key: str) -> None:
    expected = LOCKED[key]
    moved = {
        "trading.search.algorithm": "gumbel",
        "features.profile": "swt",
        "features.wst": "J6Q4",
        "training.reward": "dense",
        "trading.units": 2,
        "trading.search.simulations": 16,
    }.get(key, expected / 2 if isinstance(expected, float) else 603)
    overrides = [f"{key}={moved}", "trading_safety.max_position_units=9"]
    config = load_config(PACKAGED_CONFIG_DIR, "episode_13475", overrides=overrides).config
    (deviation,) = verify_episode_13475(config)
    assert (deviation.field, deviation.expected, deviation.actual) == (key, expected, moved)
    assert key in str(deviation)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("model.support_bins=600", "odd"),
        ("data.validation_share=0.4", "nothing to test on"),
        ("trading.units=5", "max_position_units"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(setting: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_config(None, None, {}, [setting])
