"""A job put into a store with the filters and calendars that it is to have: all of them, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import EventCalendar, Filter, JobBundle, JobConfig
from ..errors import ConfigError
from .check import load_bundle
from .failures import Problems
from .jsonfile import problems

if TYPE_CHECKING:
    from .. import Store


def with_id(file: Path, job_id: str | None) -> JobBundle:
    """The job of a file, under another id if there is one; Problems, one for each, if it is wrong."""
    bundle = load_bundle(file)
    if job_id is None:
        return bundle
    try:
        return replace(bundle, config=JobConfig.parse({**bundle.config.to_dict(), "job_id": job_id}))
    except ConfigError as error:
        raise problems(file, error) from None


def put_bundle(store: Store, bundle: JobBundle) -> dict[str, Any]:
    """Puts the job, and what of its filters and calendars is not there yet; returns its configuration.

    A calendar that names no job is meant for this one, beside those that it was meant for. Problems if
    there is a filter or a calendar of that id that is another one. What was put is taken out again when
    the job is refused.
    """
    with ExitStack() as undone:
        _put_filters(store, bundle.filters, undone)
        _put_calendars(store, bundle, undone)
        made = store.put_job(bundle.config)
        undone.pop_all()
    return made


def _put_filters(store: Store, filters: Sequence[Filter], undone: ExitStack) -> None:
    known = {one["filter_id"]: one for one in store.filters()}
    differing = [one.filter_id for one in filters if known.get(one.filter_id, one.to_dict()) != one.to_dict()]
    _refuse("filter", differing)
    for one in filters:
        if one.filter_id not in known:
            store.put_filter(one.to_dict())
            undone.callback(store.delete_filter, one.filter_id)


def _put_calendars(store: Store, bundle: JobBundle, undone: ExitStack) -> None:
    known = {one["calendar_id"]: one for one in store.calendars()}
    jobs = {one.calendar_id: one.job_ids or (bundle.config.job_id,) for one in bundle.calendars}
    differing = [
        one.calendar_id
        for one in bundle.calendars
        if one.calendar_id in known and not _same(one, known[one.calendar_id])
    ]
    _refuse("calendar", differing)
    for one in bundle.calendars:
        before = known.get(one.calendar_id)
        if before is None:
            store.put_calendar(replace(one, job_ids=jobs[one.calendar_id]).to_dict())
            undone.callback(store.delete_calendar, one.calendar_id)
        else:
            meant = list(dict.fromkeys((*before["job_ids"], *jobs[one.calendar_id])))
            store.set_calendar_jobs(one.calendar_id, meant)
            undone.callback(store.set_calendar_jobs, one.calendar_id, before["job_ids"])


def _same(calendar: EventCalendar, known: dict[str, Any]) -> bool:
    """Whether both have the same events, for whatever jobs."""
    return {**calendar.to_dict(), "job_ids": []} == {**known, "job_ids": []}


def _refuse(what: str, differing: Sequence[str]) -> None:
    if differing:
        raise Problems(
            f"{what} '{name}': the store has another one of that id; change it with 'tidegate {what}s', "
            "or leave it out"
            for name in differing
        )
