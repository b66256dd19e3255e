"""`swt features`: what the agent sees — precompute, verify, plot."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from swt_cli.options import ConfigDir, Json, Overrides, Profile, configuration
from swt_cli.progress import working

if TYPE_CHECKING:
    from swt_core.config.models import SWTConfig
    from swt_data.bars import Bars

app = typer.Typer(no_args_is_help=True, help="What the agent sees: precompute, verify, plot.")

File = Annotated[
    Path | None,
    typer.Argument(help="File of bars; by default the configured one, else the synthetic market."),
]
Store = Annotated[Path, typer.Option("--store", help="The HDF5 file.")]
DEFAULT_STORE = Path("data/precomputed_wst/features.h5")


@app.command()
def build(
    file: File = None,
    store: Store = DEFAULT_STORE,
    threads: Annotated[int, typer.Option(min=0, help="Threads that compute; 0: one a core.")] = 0,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Compute the market features of all bars and store them; a killed build goes on where it stood.

    Examples: swt features build bars.parquet; swt features build --set features.wst=J6Q4
    """
    from swt_core.cores import available_cores
    from swt_features.processor import FeatureProcessor
    from swt_features.store import build_store

    with working("reading the bars") as work:
        config, bars = _input(file, config_dir, profile, overrides)
        processor = FeatureProcessor(config.features, bars.instrument)
        work.stage("computing windows")
        threads = threads or available_cores()
        info = build_store(store, processor, bars, threads=threads, progress=work.to)
    if as_json:
        typer.echo(json.dumps({"path": str(store), **asdict(info)}, indent=2))
        return
    Console().print(
        f"{store}: {info.rows:,} rows of {info.market_size} values, "
        f"feature version {info.feature_version}, bars {info.bars_sha256[:16]}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def verify(
    file: File = None,
    store: Store = DEFAULT_STORE,
    sample: Annotated[int, typer.Option(min=1, help="Windows recomputed with Kymatio.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Which windows.")] = 1,
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Compare a sample of windows with Kymatio: stored ones where the store exists, else computed ones.

    Exits with 1 when a window is further off than 5e-6 (relative L2), with 2 when the store belongs to
    other bars or another feature version.

    Examples: swt features verify bars.parquet; swt features verify --sample 10000 --json
    """
    import numpy as np

    from swt_features.processor import FeatureProcessor
    from swt_features.store import MarketFeatures
    from swt_features.verify import ERROR_LIMIT, verify_sample

    with working("reading the bars") as work:
        config, bars = _input(file, config_dir, profile, overrides)
        processor = FeatureProcessor(config.features, bars.instrument)
        features = MarketFeatures(processor, bars, store)
        work.stage("comparing windows")
        rng = np.random.default_rng(seed)
        result = verify_sample(features, processor, bars, sample, rng, work.to)
    if as_json:
        typer.echo(json.dumps({**asdict(result), "limit": ERROR_LIMIT, "passed": result.passed}, indent=2))
    else:
        Console().print(
            f"{'[green]equal[/]' if result.passed else '[bold red]NOT equal[/]'} to Kymatio: "
            f"{result.windows:,} {'stored' if result.from_store else 'computed'} windows, "
            f"worst relative L2 error {result.worst_error:.1e} (row {result.worst_row}), "
            f"median {result.median_error:.1e}, limit {ERROR_LIMIT:.0e}",
            highlight=False,
            soft_wrap=True,
        )
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def plot(
    file: File = None,
    day: Annotated[str, typer.Option(help="A day, YYYY-MM-DD; by default the last whole one.")] = "",
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture.")] = Path("features.png"),
    config_dir: ConfigDir = None,
    profile: Profile = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Draw a trading day with its scattergram and position features as PNG.

    Examples: swt features plot bars.parquet --day 2016-06-24 -o brexit.png
    """
    from swt_features.plot import plot_day, whole_day

    with working("reading the bars") as work:
        config, bars = _input(file, config_dir, profile, overrides)
        work.stage("drawing")
        plot_day(bars, whole_day(bars, day), config.features, out)
    if as_json:
        typer.echo(json.dumps({"path": str(out), "bars": len(bars)}, indent=2))
        return
    Console().print(f"{out}", highlight=False, soft_wrap=True)


def _input(
    file: Path | None, config_dir: Path | None, profile: str | None, overrides: list[str] | None
) -> tuple[SWTConfig, Bars]:
    from swt_environments.dataset import load_bars

    config = configuration(config_dir, profile, overrides).config
    data = config.data if file is None else config.data.model_copy(update={"bars_file": str(file)})
    return config, load_bars(data)[0]
