"""What a process leaves behind when it cannot end in order: why, how far it was, where it stood."""

from __future__ import annotations

import faulthandler
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from swt_core.json_text import to_json

DUMP_FILE: Final = "emergency_dump.txt"


def write_emergency_dump(
    path: Path, reason: str, state: Mapping[str, object], error: BaseException | None = None
) -> bool:
    """Write ``reason``, the process's state, the error and every thread's stack; a full disk is no error.

    Returns whether it was written. No lock is taken and no other thread is waited for.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            file.write(f"{reason}\n\n{to_json(dict(state), indent=2)}\n\n")
            if error is not None:
                file.write("".join(traceback.format_exception(error)) + "\n")
            file.flush()
            faulthandler.dump_traceback(file, all_threads=True)
    except OSError:
        return False
    return True
