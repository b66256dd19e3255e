"""Writes dashboards/*.json from the definitions beside this file: ``python docker/grafana/generate.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from board_live import LIVE
from board_system import SYSTEM
from board_training import TRAINING
from board_validation import VALIDATION
from panels import Dashboard

BOARDS: Final = (LIVE, TRAINING, VALIDATION, SYSTEM)
FOLDER: Final = Path(__file__).parent / "dashboards"


def text(board: Dashboard) -> str:
    """The file's content."""
    return json.dumps(board.json(), indent=1, ensure_ascii=False) + "\n"


def path(board: Dashboard, folder: Path = FOLDER) -> Path:
    """The file's name."""
    return folder / f"{board.uid.removeprefix('swt-')}.json"


if __name__ == "__main__":
    for each in BOARDS:
        path(each).write_text(text(each))
