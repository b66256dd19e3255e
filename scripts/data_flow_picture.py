"""The picture of how data flows: `python scripts/data_flow_picture.py` writes docs/images/data_flow.svg.

Boxes are processes and packages, cylinders are directories on disk with one writer each, arrows are data.
Plain SVG with its own colours for light and dark, so that it needs no program to be looked at.
"""

from __future__ import annotations

from pathlib import Path

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "data_flow.svg"
WIDTH, HEIGHT = 980, 640
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1b1f24; text-anchor: middle }
  .name { font-weight: 600; font-size: 14px } .small { font-size: 11.5px; fill: #57606a }
  .left { text-anchor: start } .right { text-anchor: end }
  rect, path.disk { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2 }
  rect.process { fill: #dbe9fb; stroke: #2f6fbf } rect.shared { fill: #e6f4e6; stroke: #3a7d3a }
  rect.outside { fill: #fdf1dc; stroke: #b7791f; stroke-dasharray: 5 3 }
  path.arrow { fill: none; stroke: #57606a; stroke-width: 1.6; marker-end: url(#head) }
  path.head { fill: #57606a }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9da7b3 }
    rect, path.disk { fill: #22272e; stroke: #8b949e }
    rect.process { fill: #16304f; stroke: #6ea8ee } rect.shared { fill: #173417; stroke: #7cc47c }
    rect.outside { fill: #3d2f14; stroke: #d9a441 }
    path.arrow { stroke: #9da7b3 } path.head { fill: #9da7b3 }
  }
"""


def words(x: float, y: float, lines: list[str]) -> str:
    """Centred lines; the first is the name."""
    shown = [f'<text class="name" x="{x:g}" y="{y:g}">{lines[0]}</text>']
    shown += [
        f'<text class="small" x="{x:g}" y="{y + 17 * i:g}">{line}</text>'
        for i, line in enumerate(lines[1:], 1)
    ]
    return "\n".join(shown)


def box(kind: str, x: float, y: float, width: float, *lines: str) -> str:
    height = 20 + 17 * len(lines)
    frame = f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7"/>'
    return f"{frame}\n{words(x + width / 2, y + 24, list(lines))}"


def disk(x: float, y: float, width: float, *lines: str) -> str:
    height, r = 26 + 17 * len(lines), 7
    half = width / 2
    outline = (
        f"M{x:g} {y + r:g} a{half:g} {r} 0 0 1 {width:g} 0 v{height - 2 * r:g}"
        f" a{half:g} {r} 0 0 1 {-width:g} 0 z m0 0 a{half:g} {r} 0 0 0 {width:g} 0"
    )
    return f'<path class="disk" d="{outline}"/>\n{words(x + half, y + 34, list(lines))}'


def arrow(*points: tuple[float, float]) -> str:
    path = " L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="arrow" d="M{path}"/>'


def both(*points: tuple[float, float]) -> str:
    """An arrow with a head at either end."""
    return arrow(*points).replace("/>", ' marker-start="url(#head)"/>')


def note(x: float, y: float, text: str, side: str = "") -> str:
    return f'<text class="small {side}" x="{x:g}" y="{y:g}">{text}</text>'


def picture() -> str:
    """The SVG's text."""
    parts = [
        box("outside", 30, 20, 210, "Bars", "broker, published files,", "synthetic markets"),
        box("shared", 300, 20, 250, "swt_data", "check, sessions, weeks,", "train | validation | test"),
        box(
            "shared",
            610,
            20,
            340,
            "swt_features",
            "the one FeatureProcessor: 256 closes → WST,",
            "position → 9 numbers",
        ),
        box(
            "shared",
            300,
            150,
            650,
            "swt_environments × swt_inference",
            "one position kernel, one search, one evaluator: what all three below call",
        ),
        box(
            "process",
            30,
            262,
            270,
            "Trainer",
            "actors: self-play by search",
            "learner: exact path values",
            "selector: judges on validation",
        ),
        box(
            "process",
            355,
            262,
            270,
            "Validator",
            "whole weeks of the test range,",
            "statistics, Monte Carlo, verdict",
        ),
        box(
            "process",
            680,
            262,
            270,
            "Live trader",
            "feed → features → search →",
            "journal → order → reconcile",
        ),
        disk(60, 418, 210, "checkpoints/", "safetensors, manifest, best"),
        disk(385, 418, 210, "validation_state/", "verdict, report, ledger"),
        disk(710, 418, 210, "live_state/", "journal, status, flags"),
        box("outside", 680, 540, 270, "Broker", "OANDA, or swt practice from bars"),
        box("outside", 355, 540, 270, "You", "swt status, dashboard, reports"),
        arrow((240, 56), (298, 56)),
        arrow((550, 56), (608, 56)),
        arrow((780, 91), (780, 148)),
        arrow((425, 91), (425, 148)),
        arrow((300, 177), (165, 177), (165, 260)),
        arrow((490, 204), (490, 260)),
        arrow((815, 204), (815, 260)),
        arrow((165, 350), (165, 416)),
        arrow((490, 333), (490, 416)),
        arrow((815, 333), (815, 416)),
        arrow((270, 448), (320, 448), (320, 300), (353, 300)),
        note(326, 392, "newest best", "left"),
        arrow((595, 448), (650, 448), (650, 300), (678, 300)),
        note(655, 392, "DEPLOY", "left"),
        both((952, 297), (966, 297), (966, 566), (952, 566)),
        note(958, 524, "orders, prices", "right"),
        arrow((490, 478), (490, 538)),
        arrow((625, 566), (655, 566), (655, 462), (708, 462)),
        note(648, 524, "start, stop", "right"),
    ]
    head = '<marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    return "\n".join(
        [
            f'{frame} aria-label="How data flows through SWT">',
            f"<style>{STYLE}</style>",
            f'<defs>{head} orient="auto-start-reverse">',
            '<path class="head" d="M0 0L10 5L0 10z"/></marker></defs>',
            *parts,
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_text(picture())
