"""Results of a stored job as files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from uuid import uuid4

import pyarrow as pa

from ..errors import RequestError, StoreError
from ..fileformats import BINARY_FORMATS, TEXT_FORMATS, split_ending
from ..resultfiles import write_tables
from .chunks import SCHEMAS
from .database import Database, View

EXPORTED = ("buckets", "records", "influencers", "model_plot", "categories", "forecast")
_FORMATS = TEXT_FORMATS | BINARY_FORMATS


def export(
    database: Database,
    job_id: str,
    path: str | os.PathLike[str],
    kinds: Collection[str] | None = None,
    *,
    ending: str = ".parquet",
) -> list[Path]:
    """Writes the results of a job, all as of one moment; returns the files, one for each kind.

    A path with a known ending is the file of the only kind, records unless another is given; any other a
    folder, made if it is missing, with a file of that `ending` for each, by default of every kind. Files
    are complete or not there; what had a name before is replaced. Rows are in the order in which they
    came, interim ones last. Memory holds one chunk of results at a time, but for CSV all of a kind.

    Raises RequestError for a wrong argument, NotFoundError for an unknown job and StoreError when
    something cannot be read or written.
    """
    files = _files(Path(path), kinds, ending)
    partial: Path | None = None
    try:
        with database.reading() as view:
            view.require_job(job_id)
            for kind, file in files.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                partial = file.with_name(f".{file.name}.{uuid4().hex}.partial")
                extension, compression = split_ending(file.name)
                tables = _tables(view, job_id, kind)
                write_tables(kind, SCHEMAS[kind], tables, partial, _FORMATS[extension], compression)
                os.replace(partial, file)
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, StoreError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise StoreError(f"{path}: cannot be written: {reason}") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)
    return list(files.values())


def _files(path: Path, kinds: Collection[str] | None, ending: str) -> dict[str, Path]:
    """The file of each kind."""
    extension, compression = split_ending(path.name)
    is_file = extension in _FORMATS and not path.is_dir()
    if kinds is None:
        kinds = ("records",) if is_file else EXPORTED
    if unknown := [kind for kind in kinds if kind not in EXPORTED]:
        raise RequestError(f"kinds: {unknown[0]!r} cannot be exported; allowed: {', '.join(EXPORTED)}")
    if is_file:
        if len(kinds) != 1:
            raise RequestError(f"kinds: one file holds one kind of results, not {len(kinds)}; give a folder")
        files = dict.fromkeys(kinds, path)
    else:
        extension, compression = split_ending(f"results{ending}")
        files = {kind: path / f"{kind}{ending}" for kind in kinds}
    if extension not in _FORMATS or (compression is not None and extension in BINARY_FORMATS):
        raise RequestError(
            f"ending: '{path.name if path in files.values() else ending}' is of no known format; allowed: "
            f"{', '.join(_FORMATS)}, and those of text with .gz or .zst"
        )
    return files


def _tables(view: View, job_id: str, kind: str) -> Iterator[pa.Table]:
    """The results of a kind, a piece at a time."""
    if kind == "forecast":
        for forecast in view.forecasts(job_id):
            yield view.forecast_points(job_id, forecast.forecast_id)
        return
    for _, batch in view.chunks(job_id, kind, interim=None):
        yield pa.Table.from_batches([batch])
