"""Deployment and rollback for real: a version that starts, one that does not, and the first again.

Run by `make test-deploy`: real engine, real script; only the second version is broken on purpose.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from stack_check import DAEMONS, LOOPBACK, ROOT, SETTINGS, execute, inspect, run

PROJECT = "swt-deploy-test"
BUILT = (*DAEMONS, "tensorboard", "dashboard")


def main() -> int:
    host = "bridge" not in run("docker", "network", "ls", "--format", "{{.Name}}").split()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        files = [ROOT / "docker-compose.yml", ROOT / "tests/stack/small.yml"]
        files += [ROOT / "tests/stack/host-network.yml"] if host else []
        environ = (
            os.environ | {k: v for k, v in SETTINGS.items() if k != "SWT_TAG"} | (LOOPBACK if host else {})
        )
        environ |= {"COMPOSE_PROJECT_NAME": PROJECT, "COMPOSE_FILE": ":".join(map(str, files))}

        def deploy(tag: str, timeout_s: int, environ: dict[str, str]) -> int:
            words = [ROOT / "scripts/deploy_production.sh", "--tag", tag, "--timeout", str(timeout_s)]
            words += ["--backups", str(directory / "backups")]
            code = subprocess.run(words, env=environ, check=False).returncode
            print(f"--- {tag}: exit code {code}", flush=True)
            return code

        def running() -> set[str]:
            return {inspect(container, ".Config.Image") for container in DAEMONS.values()}

        def compose(*words: str) -> None:
            subprocess.run(["docker", "compose", *words], env=environ, check=False, cwd=ROOT)

        compose("down", "-v", "--remove-orphans")
        try:
            assert deploy("good", 300, environ) == 0
            assert running() == {"swt:good"}
            execute(DAEMONS["live"], "touch", "/workspace/live_state/START_TRADING")

            (directory / "Dockerfile").write_text('FROM swt:good\nENTRYPOINT ["false"]\n')
            built = "\n".join(
                f"  {service}: {{build: {{context: {directory}, dockerfile: Dockerfile}}}}"
                for service in BUILT
            )
            (directory / "broken.yml").write_text(f"services:\n{built}\n")
            broken = environ | {"COMPOSE_FILE": f"{environ['COMPOSE_FILE']}:{directory / 'broken.yml'}"}
            assert deploy("refused", 60, broken) == 1, "the doctor of a broken image must refuse it"
            assert running() == {"swt:good"}
            words = [
                ROOT / "scripts/deploy_production.sh",
                "--tag",
                "bad",
                "--timeout",
                "90",
                "--skip-doctor",
            ]
            words += ["--backups", str(directory / "backups")]
            code = subprocess.run(words, env=broken, check=False).returncode
            print(f"--- bad: exit code {code}", flush=True)
            assert code == 3, "a version that does not start must be rolled back"
            assert running() == {"swt:good"}
            execute(DAEMONS["live"], "test", "-e", "/workspace/live_state/START_TRADING")
            saved = sorted(file.name for file in (directory / "backups").glob("*-before-bad/*.tar.gz"))
            assert saved == [
                "checkpoints.tar.gz",
                "live_state.tar.gz",
                "practice_state.tar.gz",
                "training_state.tar.gz",
                "validation_state.tar.gz",
            ], saved
        except AssertionError as error:
            print(f"FAILED: {error}", file=sys.stderr)
            return 1
        finally:
            compose("down", "-v", "--remove-orphans", "-t", "20")
    print("deployed, refused and rolled back as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
