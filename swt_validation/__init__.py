"""Evaluation, statistics, verdict, reports, validator daemon."""
