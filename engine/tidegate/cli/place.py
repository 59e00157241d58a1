"""The options of every command over a store, and opening it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import NotFoundError, StoreError, TimeError
from ..requesttime import parse_request_time
from .failures import Problems
from .grid import grid

if TYPE_CHECKING:
    from .. import Store

F = TypeVar("F", bound=Callable[..., Any])
VARIABLE = "TIDEGATE_STORE"


def store_options(command: F) -> F:
    """Adds ``--store`` (the argument `folder`) and ``--json`` (`as_json`)."""
    command = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else.")(command)
    return click.option(
        "--store",
        "folder",
        type=click.Path(path_type=Path),
        envvar=VARIABLE,
        show_envvar=True,
        required=True,
        metavar="DIR",
        help="The folder of the store.",
    )(command)


def opened(
    folder: Path, *, create: bool = False, durability: str = "post", threads: int | None = None
) -> Store:
    """The store of a folder, to be used as a context manager; only `create` makes one."""
    from .. import Store

    try:
        return Store(folder, create=create, durability=durability, threads=threads)
    except StoreError:
        raise
    except OSError as error:
        raise Problems(f"{folder}: cannot be read: {error.strerror}") from None


class Time(click.ParamType):  # type: ignore[type-arg]
    """A time in an option; it stays the text that it is, once it is known to be a time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> str:
        """The text; fails for what is no time."""
        try:
            parse_request_time(value, "time")
        except TimeError:
            self.fail(
                f"'{value}' is not a time; give '2014-11-01', '2014-11-01T12:30:00Z', 'now' or epoch",
                param,
                context,
            )
        return str(value)


TIME = Time()


def given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def reply(as_json: bool, value: Mapping[str, Any], text: str | Iterable[str]) -> None:
    """Prints an answer: its JSON form on one line, or the text for people."""
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False))
        return
    for line in [text] if isinstance(text, str) else text:
        click.echo(line)


def reply_all(
    as_json: bool,
    values: Iterable[Mapping[str, Any]],
    shown: Callable[[Any], Mapping[str, object]],
    none: str,
) -> None:
    """Prints answers: each as JSON on a line of its own, or a table with a row `shown` of each."""
    if as_json:
        for value in values:
            click.echo(json.dumps(value, ensure_ascii=False))
        return
    rows = [shown(value) for value in values]
    for line in grid(rows) if rows else [none]:
        click.echo(line)


def found_in(found: Iterable[dict[str, Any]], job_id: str) -> dict[str, Any]:
    """What was found of the job of that id; NotFoundError if it is none, but a group, say."""
    for one in found:
        if one["job_id"] == job_id:
            return one
    raise NotFoundError(f"No known job with id '{job_id}'")
