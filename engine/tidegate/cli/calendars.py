"""``tidegate calendars``: events that the jobs of a store know beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from .failures import Problems
from .jsonfile import FILE, load, problems
from .place import TIME, opened, reply, reply_all, store_options
from .text import time_text


@click.group()
def calendars() -> None:
    """Calendars: holidays, releases and other events that jobs know beforehand.

    Open jobs go by a change from their next post or flush on.
    """


@calendars.command("list")
@click.argument("calendar_id", metavar="[CALENDAR]", required=False)
@store_options
def list_calendars(calendar_id: str | None, folder: Path, as_json: bool) -> None:
    """Lists calendars, or the events of one."""
    with opened(folder) as store:
        found = store.calendars() if calendar_id is None else store.calendars(calendar_id)
    if calendar_id is None or as_json:
        reply_all(as_json, found, _calendar, "No calendars.")
    else:
        reply_all(as_json, found[0]["events"], _event, "No events.")


def _calendar(calendar: Mapping[str, Any]) -> dict[str, object]:
    return {
        "calendar": calendar["calendar_id"],
        "events": len(calendar["events"]),
        "jobs": ", ".join(calendar["job_ids"]) or None,
        "description": calendar.get("description"),
    }


def _event(event: Mapping[str, Any]) -> dict[str, object]:
    return {
        "start (UTC)": time_text(event["start_time"]),
        "end (UTC)": time_text(event["end_time"]),
        "description": event["description"],
    }


@calendars.command()
@click.argument("file", metavar="FILE", type=FILE)
@store_options
def put(file: Path, folder: Path, as_json: bool) -> None:
    """Adds a calendar.

    FILE is JSON ('-': standard input) with a calendar_id, job_ids and events.
    """
    calendar = load(file, dict, "a JSON object with a calendar_id")
    with opened(folder, create=True) as store:
        try:
            made = store.put_calendar(calendar)
        except ConfigError as error:
            raise problems(file, error) from None
    reply(as_json, made, f"Calendar {made['calendar_id']} is in {folder}")


@calendars.command("add-events")
@click.argument("calendar_id", metavar="CALENDAR")
@click.argument("file", metavar="[FILE]", type=FILE, required=False)
@click.option("--description", metavar="TEXT", help="Instead of FILE one event: what it is ...")
@click.option("--start", type=TIME, help="... when it begins ...")
@click.option("--end", type=TIME, help="... and when it is over.")
@store_options
def add_events(
    calendar_id: str,
    file: Path | None,
    description: str | None,
    start: str | None,
    end: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Adds events to a calendar.

    Those of FILE, a JSON list ('-': standard input), or the one of the options.
    """
    one = {"description": description, "start_time": start, "end_time": end}
    if file is None and None in one.values():
        raise Problems("no events; give FILE, or --description, --start and --end")
    if file is not None and any(one.values()):
        raise Problems("FILE has the events; leave out --description, --start and --end")
    events = [_of_options(one)] if file is None else _of_file(file)
    with opened(folder) as store:
        try:
            added = store.add_events(calendar_id, events)
        except ConfigError as error:
            raise (problems(file, error) if file is not None else error) from None
    reply(as_json, {"events": added}, f"Calendar {calendar_id} has {len(added):,} more events")


def _of_options(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event with times as requests have them: short numbers are seconds."""
    from ..requesttime import parse_request_time

    times = {name: parse_request_time(event[name], name) for name in ("start_time", "end_time")}
    return {**event, **times}


def _of_file(file: Path) -> list[Any]:
    """A list of events, or the events of an object, as the API has them."""
    value = load(file, object, "")
    events = value.get("events") if isinstance(value, dict) else value
    if not isinstance(events, list):
        raise Problems(f"{file}: expected a JSON list of events, or an object with 'events'")
    return events


@calendars.command()
@click.argument("calendar_id", metavar="CALENDAR")
@click.option("--job", "jobs", metavar="ID", multiple=True, help="A job or group, or _all; repeatable.")
@store_options
def update(calendar_id: str, jobs: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Says which jobs a calendar is meant for.

    Those jobs and groups that are given, and no others.
    """
    with opened(folder) as store:
        changed = store.set_calendar_jobs(calendar_id, list(jobs))
    reply(as_json, changed, f"Calendar {calendar_id} is meant for {', '.join(jobs) or 'no job'}")


@calendars.command()
@click.argument("calendar_id", metavar="CALENDAR")
@store_options
def delete(calendar_id: str, folder: Path, as_json: bool) -> None:
    """Deletes a calendar with its events."""
    with opened(folder) as store:
        store.delete_calendar(calendar_id)
    reply(as_json, {"acknowledged": True}, f"Calendar {calendar_id} is deleted")
