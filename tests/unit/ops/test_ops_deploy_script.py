"""The deployment script against a docker that is played: order, verification, rollback, dry run."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "scripts" / "deploy_production.sh"

# A docker that remembers which tag runs and is healthy unless its tag is listed as broken.
DOCKER = r"""#!/usr/bin/env bash
S=$PLAYED
echo "${SWT_TAG:-} $*" >> "$S/log"
case "$*" in
  *"$(cat "$S/fails" 2>/dev/null || echo nothing-fails)"*) exit 1 ;;
esac
case "$*" in
  "compose config --services") printf 'trainer\nlive\n' ;;
  "compose config") printf 'name: swt\nservices: {}\n' ;;
  "compose ps -a -q "*) [ -s "$S/running" ] && echo "id-$5" ;;
  "compose up -d --no-build") echo "$SWT_TAG" > "$S/running" ;;
  inspect*Config.Image*) echo "swt:$(cat "$S/running")" ;;
  inspect*State.Status*)
    grep -qx "$(cat "$S/running")" "$S/broken" 2>/dev/null && echo running/unhealthy && exit
    echo running/healthy ;;
  run*--entrypoint\ tar*) tar -C "$S" -cf - log ;;
esac
exit 0
"""


class Played:
    """One deployment against the played docker."""

    def __init__(self, directory: Path) -> None:
        self.state = directory / "played"
        self.repository = directory / "repository"
        binaries = directory / "bin"
        for made in (self.state, binaries, self.repository / "scripts"):
            made.mkdir(parents=True)
        shutil.copy(SCRIPT, self.repository / "scripts")
        (binaries / "docker").write_text(DOCKER)
        (binaries / "docker").chmod(0o755)
        self.environ = os.environ | {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PLAYED": str(self.state),
            "SWT_DEPLOY_POLL_SECONDS": "0",
        }
        self.environ.pop("SWT_TAG", None)

    def note(self, name: str, text: str) -> None:
        (self.state / name).write_text(text + "\n")

    def deploy(self, *options: str) -> subprocess.CompletedProcess[str]:
        script = self.repository / "scripts" / SCRIPT.name
        return subprocess.run(
            [script, *options], env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )

    @property
    def log(self) -> list[str]:
        return (self.state / "log").read_text().splitlines()

    @property
    def running(self) -> str:
        file = self.state / "running"
        return file.read_text().strip() if file.exists() else ""

    def position(self, text: str) -> int:
        return next(i for i, line in enumerate(self.log) if text in line)


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


def test_a_new_version_is_built_checked_saved_started_and_verified_in_this_order(played: Played) -> None:
    played.note("running", "old")
    done = played.deploy("--tag", "new", "--timeout", "20")
    assert done.returncode == 0, done.stderr
    assert played.running == "new"
    order = ["new compose build", "live doctor", "compose stop live", "--entrypoint tar", "new compose up -d"]
    places = [played.position(text) for text in order]
    assert places == sorted(places)
    assert any(line.strip() == "tag swt:new swt:latest" for line in played.log)


def test_the_state_is_saved_before_the_start(played: Played) -> None:
    played.note("running", "old")
    played.deploy("--tag", "new", "--timeout", "20")
    archives = sorted((played.repository / "backups").glob("*-before-new/*.tar.gz"))
    names = {archive.name.removesuffix(".tar.gz") for archive in archives}
    assert names == {"checkpoints", "training_state", "validation_state", "live_state", "practice_state"}
    assert gzip.decompress(archives[0].read_bytes())
    assert archives[0].parent.stat().st_mode & 0o077 == 0


def test_a_version_that_is_not_healthy_is_rolled_back(played: Played) -> None:
    played.note("running", "old")
    played.note("broken", "new")
    done = played.deploy("--tag", "new", "--timeout", "1")
    assert done.returncode == 3
    assert played.running == "old"
    assert "rolling back to old" in done.stderr
    assert "trainer=running/unhealthy" in done.stderr
    assert not any("swt:latest" in line for line in played.log)


def test_a_start_that_fails_is_rolled_back(played: Played) -> None:
    played.note("running", "old")
    played.note("fails", "run --rm --network none")
    done = played.deploy("--tag", "new", "--timeout", "20")
    assert done.returncode == 3
    assert played.running == "old"
    assert not any("new compose up" in line for line in played.log)


def test_when_the_previous_version_is_ill_too_a_person_is_called(played: Played) -> None:
    played.note("running", "old")
    played.note("broken", "new\nold")
    done = played.deploy("--tag", "new", "--timeout", "1")
    assert done.returncode == 4
    assert "look now" in done.stderr


def test_the_first_version_has_nothing_to_go_back_to(played: Played) -> None:
    played.note("broken", "new")
    done = played.deploy("--tag", "new", "--timeout", "1")
    assert done.returncode == 4
    assert "no previous version" in done.stderr
    assert not (played.repository / "backups").exists()


def test_a_failing_doctor_stops_it_before_anything_changed(played: Played) -> None:
    played.note("running", "old")
    played.note("fails", "live doctor")
    done = played.deploy("--tag", "new")
    assert done.returncode == 1
    assert played.running == "old"
    assert not any("compose stop" in line or "compose up" in line for line in played.log)
    assert played.deploy("--tag", "new", "--skip-doctor", "--timeout", "20").returncode == 0


def test_a_build_that_fails_changes_nothing(played: Played) -> None:
    played.note("running", "old")
    played.note("fails", "compose build")
    assert played.deploy("--tag", "new").returncode != 0
    assert played.running == "old"
    assert not any("compose stop" in line or "compose up" in line for line in played.log)


def test_a_dry_run_changes_nothing_and_says_what_it_would_do(played: Played) -> None:
    played.note("running", "old")
    done = played.deploy("--tag", "new", "--dry-run")
    assert done.returncode == 0, done.stderr
    for text in ("compose_at new build", "live doctor", "compose stop live", "backup", "up -d"):
        assert f"would run: {text}" in done.stderr or text in done.stderr
    changing = ("build", "stop", "up", "run", "tag")
    assert not [line for line in played.log if any(word in line.split() for word in changing)]
    assert not (played.repository / "backups").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [(("--tag", "old"), "runs already"), (("--tag", "no tag"), "is no tag"), (("--fast",), "unknown option")],
)
def test_what_cannot_be_meant_is_refused(played: Played, options: tuple[str, ...], why: str) -> None:
    played.note("running", "old")
    done = played.deploy(*options)
    assert done.returncode == 1
    assert why in done.stderr
    assert played.running == "old"


def test_an_invalid_configuration_is_refused(played: Played) -> None:
    played.note("fails", "compose config -q")
    done = played.deploy("--tag", "new")
    assert done.returncode == 1
    assert "not valid" in done.stderr


def test_help_explains(played: Played) -> None:
    done = played.deploy("--help")
    assert done.returncode == 0
    assert "--dry-run" in done.stdout
    assert json.dumps(done.stdout).count("\\n") >= 5
