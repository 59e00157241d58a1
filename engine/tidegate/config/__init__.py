"""The job configuration: what a job analyses, as people know it from Elasticsearch.

`JobConfig.parse` is the entry. The modules follow the object: ``job`` holds ``analysis`` (with ``detector``,
``functions`` and ``rules``), ``data_description``, ``limits`` and ``model_plot``; ``calendars`` and
``filters`` come beside it, in one file as a ``bundle``; ``source`` finds the JSON, ``section`` reads it and
collects problems, ``support`` says what the engine does not do yet, ``update`` changes a configuration.
Nothing in here imports numpy, pyarrow or Numba, so that a configuration can be checked at once.
"""

from __future__ import annotations

from .analysis import AnalysisConfig, PerPartitionCategorization
from .bundle import JobBundle
from .calendars import EventCalendar, ScheduledEvent, read_calendars, read_events
from .data_description import DataDescription
from .detector import Detector
from .filters import Filter, read_filters
from .functions import FUNCTIONS, Function, closest_function, find_function
from .job import JobConfig
from .limits import AnalysisLimits, parse_memory_bytes
from .model_plot import ModelPlotConfig
from .rules import CustomRule, RuleCondition, RuleScope
from .spans import Span, parse_span
from .update import updated

__all__ = [
    "FUNCTIONS",
    "AnalysisConfig",
    "AnalysisLimits",
    "CustomRule",
    "DataDescription",
    "Detector",
    "EventCalendar",
    "Filter",
    "Function",
    "JobBundle",
    "JobConfig",
    "ModelPlotConfig",
    "PerPartitionCategorization",
    "RuleCondition",
    "RuleScope",
    "ScheduledEvent",
    "Span",
    "closest_function",
    "find_function",
    "parse_memory_bytes",
    "parse_span",
    "read_calendars",
    "read_events",
    "read_filters",
    "updated",
]
