"""``tidegate filters``: lists of values that the rules of the jobs of a store refer to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..errors import ConfigError
from .failures import Problems
from .jsonfile import FILE, load, problems
from .place import opened, reply, reply_all, store_options


@click.group()
def filters() -> None:
    """Filters: lists of values that custom rules of jobs refer to.

    Open jobs go by a change from their next post or flush on.
    """


@filters.command("list")
@click.argument("filter_id", metavar="[FILTER]", required=False)
@store_options
def list_filters(filter_id: str | None, folder: Path, as_json: bool) -> None:
    """Lists filters, or the items of one."""
    with opened(folder) as store:
        found = store.filters() if filter_id is None else store.filters(filter_id)
    if filter_id is None or as_json:
        reply_all(as_json, found, _filter, "No filters.")
    else:
        items = [{"item": item} for item in found[0]["items"]]
        reply_all(as_json, items, dict, "No items.")


def _filter(one: Mapping[str, Any]) -> dict[str, object]:
    return {
        "filter": one["filter_id"],
        "items": len(one["items"]),
        "description": one.get("description"),
    }


@filters.command()
@click.argument("file", metavar="FILE", type=FILE)
@store_options
def put(file: Path, folder: Path, as_json: bool) -> None:
    """Adds a filter.

    FILE is JSON ('-': standard input) with a filter_id, items and a description.
    """
    values = load(file, dict, "a JSON object with a filter_id")
    with opened(folder, create=True) as store:
        try:
            made = store.put_filter(values)
        except ConfigError as error:
            raise problems(file, error) from None
    reply(as_json, made, f"Filter {made['filter_id']} is in {folder}")


@filters.command()
@click.argument("filter_id", metavar="FILTER")
@click.option("--add", metavar="ITEM", multiple=True, help="An item more; repeatable.")
@click.option("--remove", metavar="ITEM", multiple=True, help="An item less; repeatable.")
@click.option("--description", metavar="TEXT", help="What it is for.")
@store_options
def update(
    filter_id: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    description: str | None,
    folder: Path,
    as_json: bool,
) -> None:
    """Adds items to a filter and takes some out."""
    if not add and not remove and description is None:
        raise Problems("nothing to change; give --add, --remove or --description")
    with opened(folder) as store:
        changed = store.update_filter(
            filter_id, add_items=list(add), remove_items=list(remove), description=description
        )
    reply(as_json, changed, f"Filter {filter_id} has {len(changed['items']):,} items")


@filters.command()
@click.argument("filter_id", metavar="FILTER")
@store_options
def delete(filter_id: str, folder: Path, as_json: bool) -> None:
    """Deletes a filter that no job uses."""
    with opened(folder) as store:
        store.delete_filter(filter_id)
    reply(as_json, {"acknowledged": True}, f"Filter {filter_id} is deleted")
