"""Dashboard of all daemons and of what watches them."""

from __future__ import annotations

from panels import GREEN, RED, TEXT, YELLOW, Dashboard, Panel, Query, Row, stat

DAEMONS = 'job=~"trainer|validator|live"'

NOW = Row(
    "Now",
    (
        *(
            stat(name, "Whether it answers.", f'up{{job="{job}"}}', base=TEXT, width=4,
                 mappings={"0": ("DOWN", RED), "1": ("up", GREEN)})
            for name, job in (("Live trader", "live"), ("Trainer", "trainer"), ("Validator", "validator"))
        ),
        stat("Critical alerts", "On now.",
             'count(ALERTS{alertstate="firing",severity="critical"}) or vector(0)',
             steps=((1, RED),), width=4),
        stat("Warnings", "On now.", 'count(ALERTS{alertstate="firing",severity="warning"}) or vector(0)',
             steps=((1, YELLOW),), width=4),
        stat("Oldest heartbeat", "Of the three daemons; 180 s are an alert.",
             "max(swt_heartbeat_age_seconds)",
             "s", steps=((90, YELLOW), (180, RED)), width=4),
        Panel("Alerts", "What is on or about to be; a 0 when nothing is.",
              (Query("sum by (alertname, job, severity, alertstate) (ALERTS) or vector(0)"),), kind="table",
              width=24, height=7),
    ),
)  # fmt: skip

DAEMON_ROW = Row(
    "Daemons",
    (
        Panel("Heartbeat", "Its age; beyond 180 s the daemon hangs.",
              (Query("swt_heartbeat_age_seconds", "{{job}}"),), unit="s", minimum=0, steps=((180, RED),),
              lines=True),
        Panel("Running for", "Since the process started.",
              (Query(f"time() - process_start_time_seconds{{{DAEMONS}}}", "{{job}}"),), unit="s", minimum=0),
        Panel("Restarts", "In the last 24 hours.",
              (Query(f"changes(process_start_time_seconds{{{DAEMONS}}}[1d])", "{{job}}"),), decimals=0,
              minimum=0),
        Panel("Memory", "Resident, of the process and its children.",
              (Query("swt_process_tree_resident_memory_bytes", "{{job}}"),), unit="bytes", minimum=0,
              stack="normal"),
        Panel("Processors", "Cores in use, of the process and its children.",
              (Query("rate(swt_process_tree_cpu_seconds_total[$__rate_interval])", "{{job}}"),), minimum=0,
              stack="normal"),
        Panel("Processes and threads", "Children of each daemon, and its own threads.",
              (Query("swt_process_children", "{{job}} children"),
               Query("swt_process_threads", "{{job}} threads")), decimals=0, minimum=0),
        Panel("Free disk", "Share of the disk with the daemon's state; a tenth is an alert.",
              (Query("swt_state_disk_free_bytes / swt_state_disk_size_bytes", "{{job}}"),),
              unit="percentunit", minimum=0, maximum=1, base=RED, steps=((0.1, GREEN),), lines=True),
        Panel("Free disk, bytes", "Where each daemon's state lies.",
              (Query("swt_state_disk_free_bytes", "{{job}}"),), unit="bytes", minimum=0),
        Panel("File descriptors", "Share of those allowed.",
              (Query(f"process_open_fds{{{DAEMONS}}} / process_max_fds", "{{job}}"),), unit="percentunit",
              minimum=0, steps=((0.8, RED),), lines=True),
    ),
)  # fmt: skip

WATCHERS = Row(
    "What watches",
    (
        Panel("Time of a scrape", "How long /metrics takes.", (Query("scrape_duration_seconds", "{{job}}"),),
              unit="s", minimum=0, width=6),
        Panel("Series", "Held by Prometheus, and samples by target.",
              (Query("prometheus_tsdb_head_series", "series"),
               Query("scrape_samples_scraped", "{{job}}")), decimals=0, minimum=0, width=6),
        Panel("Rules that fail", "Evaluations an hour; none are normal.",
              (Query("sum(increase(prometheus_rule_evaluation_failures_total[1h])) or vector(0)", "failed"),),
              decimals=0, minimum=0, steps=((1, RED),), lines=True, width=6),
        Panel("Notifications", "Sent by the Alertmanager in an hour, and those that did not arrive.",
              (Query("sum by (integration) (increase(alertmanager_notifications_total[1h])) > 0 or vector(0)",
                     "{{integration}}"),
               Query("sum(increase(alertmanager_notifications_failed_total[1h])) or vector(0)", "failed")),
              decimals=0, minimum=0, width=6),
    ),
)  # fmt: skip

SYSTEM = Dashboard(
    "swt-system",
    "SWT system",
    "Are daemons alive, what do they use, which alerts are on.",
    (NOW, DAEMON_ROW, WATCHERS),
)
