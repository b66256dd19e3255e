"""What a dashboard is made of, and its JSON: rows of panels, laid out on Grafana's grid of 24 columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["stat", "timeseries", "heatmap", "state-timeline", "table", "bargauge"]

SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
GREEN, YELLOW, RED, BLUE, TEXT = "green", "yellow", "red", "blue", "text"
_GRID: Final = 24
_SCHEMA: Final = 39


@dataclass(frozen=True)
class Query:
    """A PromQL expression and how its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        steps: thresholds, (from, colour), ascending; the first colour holds from minus infinity.
        mappings: texts for single values.
        stack: ``normal``: areas upon each other.
        lines: draw the thresholds as lines too.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    decimals: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    base: str = GREEN
    steps: tuple[tuple[float, str], ...] = ()
    mappings: dict[str, tuple[str, str]] = field(default_factory=dict)
    stack: str | None = None
    lines: bool = False
    names: bool = False

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel as Grafana reads it."""
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": list(self._targets()),
            "fieldConfig": {"defaults": self._defaults(), "overrides": []},
            "options": self._options(),
        }

    def _targets(self) -> Iterator[dict[str, Any]]:
        for letter, query in zip("ABCDEFGH", self.queries, strict=False):
            target: dict[str, Any] = {
                "refId": letter,
                "datasource": SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "editorMode": "code",
                "range": self.kind != "table",
                "instant": self.kind == "table",
            }
            if self.kind == "heatmap":
                target |= {"format": "heatmap", "legendFormat": "{{le}}"}
            if self.kind == "table":
                target |= {"format": "table"}
            yield target

    def _defaults(self) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"value": None, "color": self.base}]
        steps += [{"value": value, "color": colour} for value, colour in self.steps]
        found: dict[str, Any] = {
            "unit": self.unit,
            "thresholds": {"mode": "absolute", "steps": steps},
            "color": {"mode": "palette-classic" if self.kind == "timeseries" else "thresholds"},
            "noValue": "none yet",
        }
        if self.decimals is not None:
            found["decimals"] = self.decimals
        if self.minimum is not None:
            found["min"] = self.minimum
        if self.maximum is not None:
            found["max"] = self.maximum
        if self.mappings:
            options = {
                value: {"text": text, "color": colour, "index": index}
                for index, (value, (text, colour)) in enumerate(self.mappings.items())
            }
            found["mappings"] = [{"type": "value", "options": options}]
        if self.kind == "timeseries":
            found["custom"] = {
                "drawStyle": "line",
                "lineWidth": 1,
                "fillOpacity": 30 if self.stack else 5,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": self.stack or "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if self.lines else "off"},
            }
        if self.kind == "state-timeline":
            found["custom"] = {"fillOpacity": 80, "lineWidth": 0}
        return found

    def _options(self) -> dict[str, Any]:
        last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        if self.kind == "stat":
            return {
                "reduceOptions": last,
                "colorMode": "background",
                "graphMode": "none",
                "justifyMode": "center",
                "orientation": "auto",
                "textMode": "name" if self.names else "auto",
            }
        if self.kind == "bargauge":
            return {"reduceOptions": last, "orientation": "horizontal", "displayMode": "lcd"}
        if self.kind == "timeseries":
            return {
                "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull"]},
                "tooltip": {"mode": "multi", "sort": "desc"},
            }
        if self.kind == "heatmap":
            return {
                "calculate": False,
                "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
                "yAxis": {"unit": self.unit},
                "legend": {"show": True},
                "tooltip": {"mode": "single", "yHistogram": False},
            }
        if self.kind == "state-timeline":
            return {
                "mergeValues": True,
                "showValue": "never",
                "legend": {"displayMode": "list", "placement": "bottom"},
                "tooltip": {"mode": "single"},
            }
        return {"showHeader": True}


@dataclass(frozen=True)
class Row:
    """A headline and the panels beneath it."""

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; ``uid`` is also the name of its file, ``swt-`` left out."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    period: str = "now-6h"
    refresh: str = "30s"

    def json(self) -> dict[str, Any]:
        """The dashboard as Grafana reads it."""
        panels: list[dict[str, Any]] = []
        y = 0
        for row in self.rows:
            panels.append(
                {
                    "id": len(panels) + 1,
                    "type": "row",
                    "title": row.title,
                    "collapsed": False,
                    "gridPos": {"x": 0, "y": y, "w": _GRID, "h": 1},
                    "panels": [],
                }
            )
            y += 1
            x = height = 0
            for panel in row.panels:
                if x + panel.width > _GRID:
                    x, y, height = 0, y + height, 0
                panels.append(panel.json(len(panels) + 1, x, y))
                x, height = x + panel.width, max(height, panel.height)
            y += height
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["swt"],
            "timezone": "utc",
            "editable": False,
            "graphTooltip": 1,
            "schemaVersion": _SCHEMA,
            "version": 1,
            "refresh": self.refresh,
            "time": {"from": self.period, "to": "now"},
            "timepicker": {},
            "templating": {"list": []},
            "annotations": {"list": [_alerts()]},
            "links": [_links()],
            "panels": panels,
        }


def stat(
    title: str,
    description: str,
    expr: str,
    unit: str = "short",
    *,
    legend: str = "",
    width: int = 3,
    **more: Any,
) -> Panel:
    """A single value, small."""
    return Panel(title, description, (Query(expr, legend),), "stat", unit, width, height=4, **more)


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": RED,
        "expr": 'ALERTS{alertstate="firing",severity=~"critical|warning"}',
        "step": "60s",
        "titleFormat": "{{alertname}}",
        "textFormat": "{{job}} {{severity}}",
    }


def _links() -> dict[str, Any]:
    return {
        "title": "SWT",
        "type": "dashboards",
        "tags": ["swt"],
        "asDropdown": False,
        "includeVars": False,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }
