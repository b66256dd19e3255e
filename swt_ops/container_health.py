"""``python -m swt_ops.container_health``: is this container's daemon well? Exit code 0 or 1, and a line.

Well means: /health answers 200 and the heartbeat is fresh. A daemon that hangs is ended, so that the restart
policy starts it again: Docker itself restarts nothing that is merely unhealthy. Next to nothing is imported
while all is well, because this runs every few seconds in every container.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from swt_core.clock import Clock, SystemClock
from swt_core.staleness import is_silent, longest_silence_s, of_the_future

# A clock that was set, or a machine that slept, makes a heartbeat old without its process being hung.
CONFIRM_S: Final = 60.0
_TIMEOUT_S: Final = 5.0
# The container's own /tmp: is the daemon still waiting for its bars; which stale heartbeat was met, and when.
WAITING_MARKER: Final = Path("/tmp/swt-waits")  # noqa: S108
_STALE_MARKER: Final = Path("/tmp/swt-stale")  # noqa: S108


@dataclass(frozen=True)
class Checked:
    """A container's state directory (None: it writes none), and where its daemon answers (None: nowhere)."""

    directory: str | None
    url: str | None


CHECKED: Final = {
    "trainer": Checked("training_state", "http://127.0.0.1:8081/health"),
    "validator": Checked("validation_state", "http://127.0.0.1:8082/health"),
    "live": Checked("live_state", "http://127.0.0.1:8080/health"),
    "data": Checked("data", None),
    "practice": Checked("practice_state", "http://127.0.0.1:8095/health"),
    "dashboard": Checked(None, "http://127.0.0.1:8090/health"),
}


@dataclass(frozen=True)
class Verdict:
    """Whether a container is well, and the sentence that says so.

    Attributes:
        stale_s: time of a heartbeat that is too old, or of the future; None: it is fresh, or there is none.
        confirm_s: how long that very heartbeat must have been met before its daemon hangs.
    """

    well: bool
    sentence: str
    stale_s: float | None = None
    confirm_s: float = CONFIRM_S


def check(
    role: str, root: Path, now_s: float, answer: Callable[[str], tuple[int, str]], *, waits: bool = False
) -> Verdict:
    """Look once.

    Args:
        role: of the container.
        root: the state directories' root.
        now_s: wall clock, UTC epoch seconds.
        answer: status code and first text of a URL; `OSError` where nothing answers.
        waits: the daemon waits for its bars, and has not begun.
    """
    if role not in CHECKED:
        return Verdict(True, f"{role} is no daemon")
    if waits:
        # A heartbeat is then of an earlier run.
        return Verdict(True, f"{role}: waits for the data service to fill the bar store")
    checked = CHECKED[role]
    beat = None if checked.directory is None else _heartbeat(root / checked.directory)
    status = "" if beat is None else beat.status
    if beat is not None:
        age_s, longest_s = now_s - beat.time_s, longest_silence_s(status)
        if is_silent(age_s, -age_s, longest_s):
            if age_s > 0:
                return Verdict(False, f"{role}: no heartbeat for {age_s:.0f} s", beat.time_s)
            # How old it is nobody knows, so it is watched for as long as it may take until the next.
            said = f"{role}: its heartbeat is {of_the_future(-age_s)}"
            return Verdict(False, said, beat.time_s, longest_s + CONFIRM_S)
        if status.startswith(("off", "idle")):
            return Verdict(True, f"{role}: {status}")
    elif checked.url is None:
        return Verdict(False, f"{role}: no heartbeat yet")
    if checked.url is None:
        return Verdict(True, f"{role}: {status}")
    try:
        code, text = answer(checked.url)
    except OSError as error:
        return Verdict(False, f"{role}: {checked.url} does not answer: {error}")
    # The practice server wants a token for everything: refusing is answering.
    well = code == 200 or (role == "practice" and code < 500)
    return Verdict(well, f"{role}: {code} {text}")


def confirmed(memory: Path, stale_s: float | None, monotonic_s: float, confirm_s: float = CONFIRM_S) -> bool:
    """Whether this very stale heartbeat was met ``confirm_s`` ago already; notes it where it was not."""
    try:
        seen, since_s = json.loads(memory.read_text())
        if seen == stale_s:
            return bool(monotonic_s - since_s >= confirm_s)
    except (OSError, ValueError, TypeError):
        pass
    # A /tmp that is full ends nobody: unhealthy is said all the same.
    with suppress(OSError):
        memory.write_text(json.dumps([stale_s, monotonic_s]))
    return False


def ask(url: str) -> tuple[int, str]:
    """Status code and the first text of what ``url`` answers."""
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - our own loopback
            return response.status, response.read(400).decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(400).decode(errors="replace")


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Check the container whose role stands in the environment."""
    role, root = environ.get("SWT_CONTAINER", "shell"), Path(environ.get("SWT_STATE_DIR", "."))
    clock = SystemClock()
    verdict = check(role, root, clock.time_s(), ask, waits=WAITING_MARKER.exists())
    print(verdict.sentence)
    if verdict.stale_s is not None and confirmed(
        _STALE_MARKER, verdict.stale_s, clock.monotonic_s(), verdict.confirm_s
    ):
        print(_end(role, root, clock))
    return 0 if verdict.well else 1


def _end(role: str, root: Path, clock: Clock) -> str:
    """End the daemon, if it is really the one that beats no more."""
    from swt_core.numba_cache import configure_numba_cache

    # What the watchdog stands on has kernels, and this process is no `swt` that has seen to their place.
    configure_numba_cache()
    from swt_core.workspace import Workspace
    from swt_ops.watchdog import Watchdog, WatchPolicy

    policy = WatchPolicy(confirm_s=0.0, future_is_stale=True)
    reports = Watchdog(Workspace(root), policy, clock, [role]).look()
    return ", ".join(report.finding.value for report in reports)


class _Beat(NamedTuple):
    """What this needs of `swt_core.state.Heartbeat`, without importing what that stands on."""

    time_s: float
    status: str


def _heartbeat(directory: Path) -> _Beat | None:
    try:
        found = json.loads((directory / "heartbeat.json").read_bytes())
        return _Beat(float(found["time_s"]), str(found["status"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


if __name__ == "__main__":
    sys.exit(main())
