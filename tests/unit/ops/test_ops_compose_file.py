"""What must hold for every service of the container stack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from swt_ops.container import ROLES
from swt_ops.container_health import CHECKED

ROOT = Path(__file__).resolve().parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
# Who writes a volume; everybody else mounts it read-only. The dashboard may raise flags, if it is told to.
WRITERS = {
    "checkpoints": {"trainer"},
    "training_state": {"trainer"},
    "validation_state": {"validator"},
    "live_state": {"live"},
    "practice_state": {"practice"},
    "data": {"data"},
    "prometheus": {"prometheus"},
    "alertmanager": {"alertmanager"},
    "grafana": {"grafana"},
}
PORTS = {
    "live": 8080,
    "trainer": 8081,
    "validator": 8082,
    "grafana": 3000,
    "prometheus": 9090,
    "tensorboard": 6006,
    "dashboard": 8090,
}


def mounts(service: str) -> list[tuple[str, str, bool]]:
    """(source, target, read-only) of each volume."""
    found = []
    for text in SERVICES[service].get("volumes", []):
        source, target, *mode = text.split(":")
        found.append((source, target, mode == ["ro"]))
    return found


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_has_no_rights_and_cannot_change_its_image(service: str) -> None:
    found = SERVICES[service]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in found["security_opt"]
    assert not found.get("cap_add")
    assert not found.get("privileged")
    assert re.fullmatch(r"[1-9]\d*:\d+", found["user"])
    assert not any("docker.sock" in source for source, _, _ in mounts(service))


@pytest.mark.parametrize("service", SERVICES)
def test_a_container_is_limited_watched_and_started_again(service: str) -> None:
    found = SERVICES[service]
    assert found["restart"] == "unless-stopped"
    assert found["healthcheck"]["test"]
    assert {"memory", "cpus", "pids"} <= set(found["deploy"]["resources"]["limits"])
    assert found["logging"]["options"]["max-size"]


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_on_loopback_alone(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service].get("ports", []))


def test_the_published_ports_are_the_documented_ones() -> None:
    found = {name: [int(port.split(":")[1]) for port in s.get("ports", [])] for name, s in SERVICES.items()}
    assert {name: ports[0] for name, ports in found.items() if ports} == {
        name: port for name, port in PORTS.items() if name in SERVICES
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_volume_has_one_writer(service: str) -> None:
    for source, _, read_only in mounts(service):
        if source.startswith("."):
            assert read_only, f"{service} could change {source} on the host"
        else:
            assert read_only == (service not in WRITERS[source]), f"{service}: {source}"


def test_every_volume_is_declared_and_written() -> None:
    assert set(COMPOSE["volumes"]) == set(WRITERS)
    for volume, writers in WRITERS.items():
        assert any((volume, False) == (m[0], m[2]) for w in writers for m in mounts(w))


def test_the_names_people_type_stay() -> None:
    names = {name: SERVICES[name]["container_name"] for name in ("trainer", "validator", "live")}
    assert names == {
        "trainer": "swt_training_container",
        "validator": "swt_validation_container",
        "live": "swt_live_trading",
    }


@pytest.mark.parametrize("role", ROLES)
def test_each_role_has_a_service_that_knows_its_role(role: str) -> None:
    found = SERVICES[role]
    assert found["command"] == ["container", role]
    assert found["environment"]["SWT_CONTAINER"] == role
    assert found["healthcheck"]["test"][-1] == "swt_ops.container_health"
    assert role in CHECKED
    assert found["init"] is True


def test_only_live_and_data_see_the_key() -> None:
    with_key = {name for name, s in SERVICES.items() if "OANDA_API_KEY" in s.get("environment", {})}
    with_secret = {name for name, s in SERVICES.items() if "oanda_api_key" in s.get("secrets", [])}
    assert with_key == with_secret == {"live", "data"}


def test_memory_defaults_are_those_of_the_documentation() -> None:
    def defaults(service: str) -> tuple[str, str]:
        resources = SERVICES[service]["deploy"]["resources"]
        texts = (resources["reservations"]["memory"], resources["limits"]["memory"])
        return tuple(re.sub(r"\$\{\w+:-(\w+)\}", r"\1", text) for text in texts)  # type: ignore[return-value]

    found = {name: defaults(name) for name in ("trainer", "validator", "live")}
    assert found == {"trainer": ("6g", "12g"), "validator": ("6g", "8g"), "live": ("4g", "4g")}


def test_the_stack_starts_on_two_cores_as_it_is() -> None:
    for name, service in SERVICES.items():
        text = str(service["deploy"]["resources"]["limits"]["cpus"])
        assert float(re.sub(r"\$\{\w+:-([\d.]+)\}", r"\1", text)) <= 2, name


def test_every_variable_has_a_default_or_may_be_empty() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in re.findall(r"\$\{?(\w+)[^:\w]", text):
        assert re.search(rf"\$\{{{name}(:-|:\+)", text), name


def test_the_template_names_only_what_the_compose_file_reads() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    template = (ROOT / ".env.template").read_text()
    names = re.findall(r"^([A-Z_]+)=", template, re.MULTILINE)
    assert {"OANDA_ACCOUNT_ID", "OANDA_API_KEY", "OANDA_ENVIRONMENT"} <= set(names)
    for name in names:
        assert f"${{{name}:" in compose, name


def test_the_template_holds_no_secret() -> None:
    for line in (ROOT / ".env.template").read_text().splitlines():
        if re.match(r"\w*(KEY|TOKEN|PASSWORD)\w*=", line):
            assert line.endswith("="), line


def test_the_image_is_of_several_stages_and_ends_as_nobody() -> None:
    stages = re.findall(r"^FROM (\S+) AS (\w+)", DOCKERFILE, re.MULTILINE)
    assert [name for _, name in stages] == ["requirements", "build", "warm", "final"]
    assert "ARG PYTHON_IMAGE=python:3.11-slim-bookworm" in DOCKERFILE
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in DOCKERFILE
    assert not re.search(r"https?://", DOCKERFILE)


def test_the_build_sees_sources_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    assert not any(line.startswith("!.env") or "state" in line for line in lines if line.startswith("!"))


def test_prometheus_scrapes_the_daemons_under_the_agreed_names() -> None:
    found = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in found["scrape_configs"]}
    expected = {"trainer": ["trainer:8081"], "validator": ["validator:8082"], "live": ["live:8080"]}
    assert {name: jobs[name] for name in expected} == expected
