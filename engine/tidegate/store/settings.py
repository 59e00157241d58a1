"""The settings of jobs in the database: a version counts their changes, so that open jobs see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..calls import Settings
from ..config import JobConfig, read_calendars, read_filters

if TYPE_CHECKING:
    from .database import Transaction, View

_NAME = "settings"


def settings_version(view: View) -> int:
    """How often configurations, calendars and filters of the store have changed."""
    found = view.documents("meta").get(_NAME)
    return 0 if found is None else int(found["version"])


def touch_settings(tx: Transaction) -> int:
    """Counts a change; returns the version now."""
    version = settings_version(tx) + 1
    tx.put_document("meta", _NAME, {"version": version})
    return version


def read_settings(view: View, job_id: str) -> Settings:
    """The configuration of a job, with the calendars that are meant for it and the filters of its rules."""
    config = JobConfig.parse(view.job(job_id).config)
    meant = {job_id, "_all", *config.groups}
    calendars = [
        value for value in view.documents("calendars").values() if meant & set(value.get("job_ids", ()))
    ]
    wanted = {
        entry.filter_id
        for detector in config.analysis_config.detectors
        for rule in detector.custom_rules
        for entry in rule.scope
    }
    filters = [value for name, value in view.documents("filters").items() if name in wanted]
    return Settings(config, read_calendars(calendars), read_filters(filters))
