"""Alert rules and routes: complete, about metrics that exist, tried firing and silent, linked to help."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from monitoring_files import (
    ALERTMANAGER,
    FOREIGN,
    PROMETHEUS,
    ROOT,
    exported,
    labels_of,
    metrics_in,
    rules,
    run,
    tool,
)

RULES = rules()
SERIES = exported()
# Labels that Prometheus adds to what it scrapes.
ADDED = {"job", "instance"}


def key(rule: dict[str, Any]) -> str:
    """One rule's name; those of one name are told apart by their labels."""
    return " ".join([rule["alert"], *(rule["labels"].get(label, "") for label in ("job", "metric"))]).strip()


@cache
def cases(file: str) -> list[dict[str, Any]]:
    found = yaml.safe_load((PROMETHEUS / "tests" / f"{file}.yml").read_text())["tests"]
    assert isinstance(found, list)
    return found


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text()


@pytest.mark.parametrize("rule", RULES, ids=key)
def test_a_rule_has_a_severity_a_summary_and_a_way_to_help(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"]
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    text = text_of(page)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert anchor in anchors
    section = re.split(rf"(?im)^### {anchor.replace('-', ' ')}$", text)[1].split("\n#")[0]
    assert f"`{rule['alert']}`" in section


@pytest.mark.parametrize("rule", RULES, ids=key)
def test_a_rule_asks_for_metrics_that_are_served(rule: dict[str, Any]) -> None:
    used = metrics_in(rule["expr"])
    assert used
    assert used <= set(SERIES) | FOREIGN
    for metric, label in labels_of(rule["expr"]):
        if metric in SERIES:
            assert label in SERIES[metric] | ADDED, (metric, label)


@pytest.mark.parametrize("rule", RULES, ids=key)
def test_a_rule_is_tried_silent_and_firing(rule: dict[str, Any]) -> None:
    wanted = {rule["alert"], *(rule["labels"].get(label, "") for label in ("job", "metric"))} - {""}
    found = [
        test
        for case in cases(rule["file"])
        for test in case["promql_expr_test"]
        if wanted <= set(re.findall(r'"([^"]+)"', test["expr"]))
    ]
    assert any(test["exp_samples"] for test in found), "no case in which it fires"
    assert any(not test["exp_samples"] for test in found), "no case in which it does not"


def test_the_key_metrics_of_each_daemon_have_an_alert_for_their_absence() -> None:
    absent = {(r["labels"]["job"], r["labels"]["metric"]) for r in RULES if r["alert"] == "KeyMetricAbsent"}
    for job in ("trainer", "validator", "live"):
        assert (job, "swt_heartbeat_age_seconds") in absent
        assert sum(name == job for name, _ in absent) >= 5
    # An alert on a gauge of the trader that moves money is silent when the gauge is gone.
    for metric in (
        "swt_live_oldest_undecided_order_seconds",
        "swt_live_drawdown_pips",
        "swt_live_position_units",
    ):
        assert ("live", metric) in absent


def test_every_runbook_entry_is_about_a_rule() -> None:
    text = (ROOT / "docs" / "troubleshooting.md").read_text().split("\n## Alerts\n")[1].split("\n## ")[0]
    first_cells = "\n".join(re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE))
    assert set(re.findall(r"`([A-Z]\w+)`", first_cells)) == {rule["alert"] for rule in RULES}


def test_the_page_counts_the_rules_as_they_are() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert f"{len(RULES)} rules, {len({rule['alert'] for rule in RULES})} alerts" in page


def test_a_name_in_an_expression_is_found_and_a_function_is_not_a_metric() -> None:
    expr = 'sum by (job) (rate(a_total{x="b_total"}[5m])) > on(job) 2 * c and d unless e offset 30m'
    assert metrics_in(expr) == {"a_total", "c", "d", "e"}


# -- with the tools of Prometheus ------------------------------------------------------------------


@pytest.mark.oracle
def test_promtool_accepts_rules_and_configuration(tmp_path: Path) -> None:
    promtool = tool("promtool")
    result = run(promtool, "check", "rules", *map(str, (PROMETHEUS / "rules").glob("*.yml")))
    assert result.returncode == 0, result.stdout + result.stderr
    text = (PROMETHEUS / "prometheus.yml").read_text()
    path = tmp_path / "prometheus.yml"
    path.write_text(text.replace("/etc/prometheus/rules", str(PROMETHEUS / "rules")))
    result = run(promtool, "check", "config", str(path))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.oracle
@pytest.mark.parametrize("file", [path.stem for path in sorted((PROMETHEUS / "tests").glob("*.yml"))])
def test_rules_fire_and_stay_silent_as_their_cases_say(file: str) -> None:
    result = run(tool("promtool"), "test", "rules", str(PROMETHEUS / "tests" / f"{file}.yml"))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.oracle
@pytest.mark.parametrize("severity", ["critical", "warning", "info"])
def test_an_alert_goes_where_its_severity_says(severity: str) -> None:
    config = f"--config.file={ALERTMANAGER / 'alertmanager.yml'}"
    result = run(tool("amtool"), "config", "routes", "test", config, f"severity={severity}", "job=live")
    assert (result.returncode, result.stdout.strip()) == (0, severity)


@pytest.mark.oracle
@pytest.mark.parametrize("webhook", ["", "http://hook.example/x"])
@pytest.mark.parametrize("to", ["", "a@example.org,b@example.org"])
@pytest.mark.parametrize("password", ["", "secret"])
def test_amtool_accepts_whatever_is_configured(tmp_path: Path, webhook: str, to: str, password: str) -> None:
    amtool = tool("amtool")
    made = configured(tmp_path, webhook, to, password)
    result = run(amtool, "check-config", str(made))
    assert result.returncode == 0, result.stdout + result.stderr


# -- the Alertmanager's configuration --------------------------------------------------------------


def configured(folder: Path, webhook: str, to: str, password: str) -> Path:
    """The configuration that start.sh makes of what is set."""
    (folder / "alert_webhook").write_text(webhook)
    (folder / "alert_smtp_password").write_text(password)
    environ = {
        "ALERTMANAGER_TEMPLATES": str(ALERTMANAGER),
        "ALERTMANAGER_SECRETS": str(folder),
        "ALERTMANAGER_MADE": str(folder / "made.yml"),
        "ALERT_EMAIL_TO": to,
        "ALERT_SMTP_SMARTHOST": "mail.example.org:587" if to else "",
        "ALERT_SMTP_USER": "user" if password else "",
    }
    result = run("sh", str(ALERTMANAGER / "start.sh"), "--show", **environ)
    assert result.returncode == 0, result.stderr
    return folder / "made.yml"


def test_with_nothing_configured_alerts_have_receivers_that_send_nothing(tmp_path: Path) -> None:
    made = yaml.safe_load(configured(tmp_path, "", "", "").read_text())
    assert made["receivers"] == [{"name": "critical"}, {"name": "warning"}, {"name": "info"}]
    assert "smtp_smarthost" not in made["global"]


def test_webhook_and_mail_reach_critical_and_warning_and_secrets_stay_in_files(tmp_path: Path) -> None:
    path = configured(tmp_path, "http://hook.example/x", "a@example.org,b@example.org", "s3cret")
    made = yaml.safe_load(path.read_text())
    for receiver in made["receivers"][:2]:
        assert receiver["webhook_configs"][0]["url_file"] == str(tmp_path / "alert_webhook")
        assert receiver["email_configs"][0]["to"] == "a@example.org,b@example.org"
    assert "email_configs" not in made["receivers"][2]
    assert made["global"]["smtp_smarthost"] == "mail.example.org:587"
    assert made["global"]["smtp_from"] == "a@example.org"
    assert made["global"]["smtp_auth_password_file"] == str(tmp_path / "alert_smtp_password")
    assert "s3cret" not in path.read_text()
    assert "hook.example" not in path.read_text()


def test_mail_without_a_login_has_none(tmp_path: Path) -> None:
    made = yaml.safe_load(configured(tmp_path, "", "a@example.org", "").read_text())
    assert "smtp_auth_username" not in made["global"]
    assert "webhook_configs" not in made["receivers"][0]


def test_an_address_that_would_change_the_configuration_is_refused(tmp_path: Path) -> None:
    environ = {"ALERTMANAGER_TEMPLATES": str(ALERTMANAGER), "ALERTMANAGER_MADE": str(tmp_path / "made.yml")}
    for bad in ('a@b.c"\nroute: {}', "a|b", "a&b"):
        result = run("sh", str(ALERTMANAGER / "start.sh"), "--show", ALERT_EMAIL_TO=bad, **environ)
        assert result.returncode == 2
        assert "ALERT_EMAIL_TO" in result.stderr


def test_every_severity_has_a_receiver_and_a_daemon_that_is_down_silences_the_rest() -> None:
    made = yaml.safe_load((ALERTMANAGER / "alertmanager.yml").read_text())
    named = {receiver["name"] for receiver in made["receivers"]}
    routed = {made["route"]["receiver"], *(route["receiver"] for route in made["route"]["routes"])}
    assert routed == named == {"critical", "warning", "info"}
    alerts = {rule["alert"] for rule in RULES}
    for inhibition in made["inhibit_rules"]:
        for matcher in (*inhibition["source_matchers"], *inhibition["target_matchers"]):
            assert set(re.findall(r"[A-Z]\w+", matcher)) <= alerts
        assert inhibition["equal"] == ["job"]
