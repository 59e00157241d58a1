"""Getting the JSON object of a job configuration out of a dict, JSON text or a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import Never

from ..errors import ConfigError

__all__ = ["Source", "load_object", "unwrap_job"]

Source = Mapping[str, object] | str | bytes | os.PathLike[str]

# Under these keys installers and exports keep the job, beside things of their own.
_WRAPPERS = ("job", "config", "_source", "job_config")
_LONGEST = 64 << 20
_SPACE = "\ufeff \t\r\n"
_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|[{}]|-?Infinity|NaN')


def load_object(source: Source) -> Mapping[object, object]:
    """Returns the JSON object of a source; ConfigError, with where and why, if there is none.

    Text is JSON if it begins with ``{`` and otherwise a path; bytes are always JSON.
    """
    if isinstance(source, Mapping):
        values: dict[object, object] = dict(source.items())
        return values
    if isinstance(source, bytes | bytearray):
        return _parse_object(_decoded(bytes(source), ""), "")
    if isinstance(source, str) and source.lstrip(_SPACE).startswith("{"):
        return _parse_object(source, "")
    if not isinstance(source, str | os.PathLike):
        _refuse(f"a job configuration is a dict, JSON text or a path, not {type(source).__name__}")
    path = os.fspath(source)
    return _parse_object(_read_text(path), f"{path}: ")


def unwrap_job(values: Mapping[object, object]) -> Mapping[object, object]:
    """Returns the job within the wrapper of an installer, or the object itself if it is the job.

    An ``id`` beside the wrapped job is its ``job_id``, unless it has one.
    """
    if "analysis_config" in values:
        return values
    for key in _WRAPPERS:
        inner = values.get(key)
        if isinstance(inner, Mapping) and "analysis_config" in inner:
            ids = (inner.get("job_id"), values.get("job_id"), values.get("id"))
            job_id = next((job_id for job_id in ids if job_id is not None), None)
            return dict(inner) if job_id is None else {**inner, "job_id": job_id}
    return values


def _refuse(message: str) -> Never:
    raise ConfigError([("", message)])


def _read_text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST + 1)
    except OSError as error:
        _refuse(f"{path or repr(path)}: {error.strerror}")
    except ValueError as error:  # a null byte, or what the file system's encoding lacks
        _refuse(f"{path!r} is not a path: {error}")
    if len(content) > _LONGEST:
        _refuse(f"{path}: longer than {_LONGEST >> 20} MiB, which no job configuration is")
    return _decoded(content, f"{path}: ")


def _decoded(content: bytes, origin: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(f"{origin}line {line}: not UTF-8 text: {error.reason}")


def _parse_object(text: str, origin: str) -> dict[object, object]:
    text = text.removeprefix("\ufeff")
    try:
        values = json.loads(text, object_pairs_hook=_unique_pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        _refuse(f"{origin}line {error.lineno}, column {error.colno}: {error.msg}")
    except _NotStrictError:
        _refuse(origin + _first_offence(text))
    except RecursionError:
        _refuse(f"{origin}nested too deeply")
    except ValueError as error:  # an integer of more digits than Python converts
        _refuse(f"{origin}{error}")
    if not isinstance(values, dict):
        _refuse(f"{origin}a job configuration is a JSON object, not {_json_type(values)}")
    return values


class _NotStrictError(Exception):
    """What Python's parser takes although JSON forbids it, or leaves it undefined."""


def _unique_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _NotStrictError
    return values


def _no_constant(_: str) -> Never:
    raise _NotStrictError


def _first_offence(text: str) -> str:
    """Finds the first duplicate key or NaN in the text; the parser's hooks do not say where they are."""
    keys: list[set[str]] = [set()]
    for token in _TOKEN.finditer(text):
        string, colon = token.groups()
        problem = None
        if string is None and token[0] == "{":
            keys.append(set())
        elif string is None and token[0] == "}":
            keys.pop()
        elif string is None:
            problem = f"{token[0]} is not JSON"
        elif colon:
            key = json.loads(string)
            problem = f"duplicate key '{key}'" if key in keys[-1] else None
            keys[-1].add(key)
        if problem is not None:
            line = text.count("\n", 0, token.start()) + 1
            column = token.start() - text.rfind("\n", 0, token.start())
            return f"line {line}, column {column}: {problem}"
    return "duplicate key, NaN or Infinity"


def _json_type(value: object) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
