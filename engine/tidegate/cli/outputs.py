"""Files for results: refused before any work is done, complete or not there at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..fileformats import BINARY_FORMATS, TEXT_FORMATS, split_ending
from .failures import Problems


@dataclass(frozen=True, slots=True)
class Kind:
    """What an output may be: its formats by extension, those that may be compressed apart."""

    formats: Mapping[str, str]
    packable: Mapping[str, str]
    allowed: str
    """The extensions, for the message about another one."""


TABLE = Kind(
    TEXT_FORMATS | BINARY_FORMATS,
    TEXT_FORMATS,
    ".parquet, .arrow, .feather, .ipc, .ndjson, .jsonl, .json, .csv, and the last four with .gz or .zst",
)
PICTURE = Kind({".png": "png", ".svg": "svg"}, {}, ".png and .svg")


@dataclass(frozen=True, slots=True)
class Output:
    """A file to be written: what it is called in the end, what until then, and its format."""

    path: Path
    partial: Path
    format: str
    compression: str | None


@contextmanager
def open_outputs(
    file: str, paths: Mapping[str, Path | None], kind: Kind = TABLE
) -> Iterator[dict[str, Output]]:
    """The outputs of the options that are given; their partial files exist from now on.

    Raises Problems, one for each path that cannot be written or has no known extension, or
    that would overwrite the input or the other output. Partial files that are left at the end
    are removed.
    """
    given = {option: path for option, path in paths.items() if path is not None}
    problems = []
    outputs: dict[str, Output] = {}
    with ExitStack() as cleanup:
        for option, path in given.items():
            try:
                outputs[option] = output = _opened(path, kind)
                cleanup.callback(output.partial.unlink, missing_ok=True)
                if os.path.exists(file) and path.exists() and os.path.samefile(file, path):
                    raise ValueError("is the file to be read")
                if any(o is not output and o.path.absolute() == path.absolute() for o in outputs.values()):
                    raise ValueError("is written by the other option already")
            except ValueError as error:
                problems.append(f"{option}: {path}: {error}")
            except OSError as error:
                problems.append(f"{option}: {path}: cannot be written: {error.strerror}")
        if problems:
            raise Problems(problems)
        yield outputs


def _opened(path: Path, kind: Kind) -> Output:
    extension, compression = split_ending(path.name)
    formats = kind.packable if compression else kind.formats
    if extension not in formats:
        raise ValueError(f"unknown extension; allowed are {kind.allowed}")
    if path.is_dir():
        raise ValueError("is a directory")
    partial = path.with_name(f".{path.name}.{os.getpid()}.{id(path)}.partial")
    partial.open("xb").close()
    return Output(path, partial, formats[extension], compression)
