"""What the options of ``tidegate detect`` say, and the job configuration they stand for."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..config import JobConfig
from ..errors import ConfigError
from .check import load_bundle
from .failures import Problems
from .shorthand import parse_detector

_UNKNOWN_TIME_FIELD = "\0"
_DETECTOR = re.compile(r"analysis_config\.detectors\[(\d+)\](?:\.(\w+))?")
_OPTIONS = {
    "analysis_config.bucket_span": "--bucket-span",
    "analysis_config.latency": "--latency",
    "data_description.time_field": "--time-field",
    "data_description.time_format": "--time-format",
    "function": "--function",
    "field_name": "--field",
    "by_field_name": "--by",
    "partition_field_name": "--partition",
    "use_null": "--use-null",
}


@dataclass(frozen=True, slots=True)
class Analysis:
    """The options that describe the job, as they were given."""

    bucket_span: str | None = None
    function: str | None = None
    field: str | None = None
    by: str | None = None
    partition: str | None = None
    detector: tuple[str, ...] = ()
    use_null: bool = False
    latency: str | None = None
    time_field: str | None = None
    time_format: str | None = None
    config: Path | None = None

    def given(self) -> list[str]:
        """The options other than --config that were given, by their names."""
        names = (f.name for f in fields(self) if f.name != "config" and getattr(self, f.name))
        return [f"--{name.replace('_', '-')}" for name in names]

    def job_config(self, time_field: str | None = None, time_format: str | None = None) -> JobConfig:
        """The configuration, with the time field and format found in the file if none is given.

        Raises Problems, one for each, in the words of the options.
        """
        if self.config is not None:
            return self._from_file(self.config)
        detectors = self._detectors()
        analysis = {"bucket_span": self.bucket_span, "latency": self.latency, "detectors": detectors}
        data = {
            "time_field": self.time_field or time_field or _UNKNOWN_TIME_FIELD,
            "time_format": self.time_format or time_format,
        }
        try:
            config = JobConfig.parse({"analysis_config": _set(analysis), "data_description": _set(data)})
            config.require_supported()
        except ConfigError as error:
            raise Problems(self._in_options(path, message) for path, message in error.problems) from None
        return config

    def beside(self) -> dict[str, Any]:
        """What a file with the job has beside it: its filters and calendars."""
        if self.config is None:
            return {}
        bundle = load_bundle(self.config)
        return {"filters": bundle.filters, "calendars": bundle.calendars}

    def _from_file(self, path: Path) -> JobConfig:
        if given := self.given():
            raise Problems(f"--config: the configuration has everything; leave out {', '.join(given)}")
        config = load_bundle(path).config
        if unsupported := config.unsupported():
            raise Problems(f"{path}: {where}: {message}" for where, message in unsupported)
        return config

    def _detectors(self) -> list[dict[str, Any]]:
        """The detector of --function, if there is one, and those of --detector."""
        single = {
            "function": self.function,
            "field_name": self.field,
            "by_field_name": self.by,
            "partition_field_name": self.partition,
        }
        problems, detectors = [], []
        if self.function is not None:
            detectors.append(_set(single))
        elif parts := [name for name in ("field", "by", "partition") if getattr(self, name) is not None]:
            listed = ", ".join(f"--{part}" for part in parts)
            problems.append(
                f"--function: is missing; {listed} {'belongs' if len(parts) == 1 else 'belong'} to it"
            )
        for text in self.detector:
            try:
                detectors.append(parse_detector(text))
            except ValueError as error:
                problems.append(f"--detector '{text}': {error}")
        if not problems and not detectors:
            problems.append("nothing to detect; give --function, --detector or --config")
        if problems:
            raise Problems(problems)
        return [{**detector, "use_null": True} for detector in detectors] if self.use_null else detectors

    def _in_options(self, path: str, message: str) -> str:
        """A problem of the configuration with the name of the option in place of the path."""
        if message.startswith("Unknown function"):
            message += "; 'tidegate functions' lists them all"
        found = _DETECTOR.match(path)
        if found is None:
            option = _OPTIONS.get(path)
            return f"{option}: {message}" if option else message
        index = int(found[1]) - (self.function is not None)
        if index >= 0:
            return f"--detector '{self.detector[index]}': {message}"
        return f"{_OPTIONS.get(found[2] or '', '--function')}: {message}"


def _set(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}
