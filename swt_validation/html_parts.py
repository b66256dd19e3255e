"""Building blocks of a self-contained HTML report: no script, no request, light and dark, phone to desk."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from io import StringIO
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from swt_validation.pages.style import AMBER, BLUE, FAINT, GREEN, INK, LIGHT_BLUE, MUTED, RC, RED
from swt_validation.tables import Table

# Colours of the drawn pages become CSS variables, so that a chart follows the reader's colour scheme.
_VARIABLES: Final = {
    INK: "--ink",
    MUTED: "--muted",
    FAINT: "--faint",
    "#b8c4d3": "--line",
    BLUE: "--blue",
    LIGHT_BLUE: "--light-blue",
    GREEN: "--green",
    RED: "--red",
    AMBER: "--amber",
    "#8a99ad": "--price",
    "#c5cfdb": "--bars",
    "#e8b4b0": "--light-red",
}
_STYLE: Final = """
:root{color-scheme:light dark;--paper:#fff;--panel:#f6f8fb;--ink:#16243a;--muted:#5b6b82;--faint:#e2e8f0;
--line:#b8c4d3;--blue:#1f5fa8;--light-blue:#9cc3ea;--green:#17804a;--red:#b3261e;--amber:#9a5b00;
--price:#8a99ad;--bars:#c5cfdb;--light-red:#e8b4b0}
@media(prefers-color-scheme:dark){:root{--paper:#10161f;--panel:#18212d;--ink:#e5ebf3;--muted:#9aa9bd;
--faint:#273242;--line:#41506a;--blue:#6aaef0;--light-blue:#33608f;--green:#4cc38a;--red:#f2766d;
--amber:#e0a243;--price:#7f90a8;--bars:#44536a;--light-red:#7d3b37}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"DejaVu Sans",sans-serif}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 16px}
header{padding-top:28px}h1{font-size:1.7rem;line-height:1.2;margin:0 0 4px}
h2{font-size:1.3rem;margin:44px 0 8px;padding-top:12px;border-top:1px solid var(--faint)}
h3{font-size:1.02rem;margin:22px 0 6px}p{margin:6px 0}.muted,figcaption,caption small{color:var(--muted)}
.lead{display:grid;gap:20px;grid-template-columns:minmax(220px,280px) 1fr;margin:20px 0}
.decision{background:var(--panel);border:1px solid var(--faint);border-radius:12px;padding:18px;
text-align:center}
.decision strong{display:block;font-size:2.4rem;line-height:1.1}
.DEPLOY{color:var(--green)}.TEST{color:var(--blue)}.IMPROVE{color:var(--amber)}.REJECT{color:var(--red)}
.note{border-left:4px solid var(--amber);padding:6px 12px;background:var(--panel);margin:14px 0}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(155px,1fr));gap:12px;margin:16px 0;padding:0}
.cards div{background:var(--panel);border:1px solid var(--faint);border-radius:10px;padding:12px}
.cards dt{color:var(--muted);font-size:.85rem}.cards dd{margin:0;color:var(--muted);font-size:.85rem}
.cards dd b{display:block;color:var(--ink);font-size:1.35rem;line-height:1.25;overflow-wrap:anywhere}
.two{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:8px 28px}
.two>*,.lead>*{min-width:0}
figure{margin:10px 0}figure h3{margin:10px 0 2px}figure svg{display:block;width:100%;height:auto}
figcaption{font-size:.88rem}
.scroll{overflow-x:auto;margin:10px 0}
table{border-collapse:collapse;width:100%;font-size:.88rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 8px;text-align:right;border-bottom:1px solid var(--faint);white-space:nowrap}
th:first-child,td:first-child{text-align:left}thead th{color:var(--muted);border-color:var(--line)}
tbody th{font-weight:normal;white-space:normal;min-width:9em}tr.bold>*{font-weight:bold}
table.facts td{white-space:normal;overflow-wrap:anywhere}
td.up{color:var(--green)}td.down{color:var(--red)}
meter{width:100%;height:.7em}
.scores{display:grid;grid-template-columns:auto 1fr auto;gap:2px 8px;align-items:center;font-size:.82rem;
text-align:left}
nav{font-size:.9rem;margin:12px 0;display:flex;flex-wrap:wrap;gap:4px 14px}nav a{color:var(--blue)}
.wide svg{min-width:620px}
footer{margin-top:48px;padding-bottom:40px;border-top:1px solid var(--faint);font-size:.85rem}
@media(max-width:640px){.lead{grid-template-columns:1fr}h1{font-size:1.4rem}th,td{padding:5px 6px}
td:last-child{white-space:normal}}
@media(min-width:900px){.cards{grid-template-columns:repeat(4,1fr)}}
@media print{h2{break-before:page}figure,table,.cards{break-inside:avoid}}
"""
_CHART_INCHES: Final = (6.2, 3.3)
# Wider drawings scroll on a phone rather than shrink beyond reading.
_WIDE_INCHES: Final = 7.0
_SMALLEST_POINTS: Final = 9.0
_ID: Final = re.compile(r'\b(id=")([^"]+)"')
_REFERENCE: Final = re.compile(r'(xlink:href="#|url\(#)([^")]+)')


def document(title: str, body: Sequence[str]) -> str:
    """A whole page; the policy in its head forbids any request."""
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def section(name: str, title: str, *parts: str) -> str:
    """A titled section that the navigation can point to."""
    inside = "\n".join(part for part in parts if part)
    return (
        f'<section id="{name}" aria-labelledby="{name}-title">\n'
        f'<h2 id="{name}-title">{escape(title)}</h2>\n{inside}\n</section>'
    )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(sentences: Sequence[str], otherwise: str) -> str:
    """A list of sentences; one sentence where there are none."""
    if not sentences:
        return paragraph(otherwise, "muted")
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in sentences) + "</ul>"


def side_by_side(*parts: str) -> str:
    """Parts beside each other where there is room, else below each other."""
    return f'<div class="two">{"".join(parts)}</div>'


def html_table(content: Table, *, facts: bool = False) -> str:
    """A table: names are row headers, gains green and losses red.

    Args:
        content: its cells.
        facts: two columns of long texts, which may break anywhere.
    """
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in content.header)
    rows = []
    for number, row in enumerate(content.rows):
        cells = "".join(f"<td{_tone(cell)}>{escape(cell)}</td>" for cell in row[1:])
        mark = ' class="bold"' if number in content.bold else ""
        rows.append(f'<tr{mark}><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    kind = ' class="facts"' if facts else ""
    label = escape(content.header[0], quote=True)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0"><table{kind}>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _tone(cell: str) -> str:
    plain = cell.replace(",", "").replace(".", "")
    if plain[:1] not in ("+", "-") or not plain[1:].isdigit() or not plain[1:].strip("0"):
        return ""
    return ' class="up"' if plain[0] == "+" else ' class="down"'


def chart(
    name: str,
    title: str,
    caption: str,
    draw: Callable[[Axes], None],
    *,
    inches: tuple[float, float] = _CHART_INCHES,
    box: tuple[float, float, float, float] = (0.115, 0.13, 0.865, 0.84),
) -> str:
    """A figure: heading, the drawing as inline SVG, and what it says in words (also its accessible name).

    Args:
        name: unique within the page; keeps the drawings' inner references apart.
        title: heading.
        caption: what can be seen, for those who cannot see it, too.
        draw: draws into the axes it is given.
        inches: size; narrow enough to be read at the width of a phone.
        box: place of the axes in it.
    """
    settings: dict[Any, Any] = {**RC, "svg.fonttype": "none", "svg.hashsalt": name, "font.size": 10.5}
    with mpl.rc_context(settings):
        figure = Figure(figsize=inches)
        figure.patch.set_alpha(0)
        axes = figure.add_axes(box)
        axes.patch.set_alpha(0)
        draw(axes)
        for small in figure.findobj(Text):
            small.set_fontsize(max(small.get_fontsize(), _SMALLEST_POINTS))
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawing = _inline(text.getvalue(), name, f"{title}. {caption}")
    if inches[0] > _WIDE_INCHES:
        label = escape(title, quote=True)
        drawing = f'<div class="scroll wide" role="region" aria-label="{label}" tabindex="0">{drawing}</div>'
    return f"<figure><h3>{escape(title)}</h3>{drawing}<figcaption>{escape(caption)}</figcaption></figure>"


def _inline(svg: str, name: str, label: str) -> str:
    """SVG that can stand in a page beside others: no prologue, own ids, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = _ID.sub(rf'\g<1>{name}-\g<2>"', svg)
    svg = _REFERENCE.sub(rf"\g<1>{name}-\g<2>", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    opening = svg[: svg.index(">")]
    size = re.search(r'viewBox="[^"]+"', opening)
    inner = svg[svg.index(">") + 1 :]
    box = size.group(0) if size else ""
    label = escape(label, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {box} '
        f'role="img" aria-label="{label}">{inner.strip()}'
    )
