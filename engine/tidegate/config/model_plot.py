"""Whether the bounds of the models are written beside the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .section import Section

__all__ = ["ModelPlotConfig", "read_model_plot"]


@dataclass(frozen=True, slots=True)
class ModelPlotConfig:
    """The model plot of a job; ``terms`` limits it to series with these by or partition values.

    No annotations are written, whatever ``annotations_enabled`` says.

    >>> ModelPlotConfig(True, "AAL, UAL,").term_list
    ('AAL', 'UAL')
    """

    enabled: bool
    terms: str | None = None
    """Values, separated by commas; none of them is no limit."""
    annotations_enabled: bool = False

    @property
    def term_list(self) -> tuple[str, ...]:
        """The terms one by one, without the spaces around them."""
        return tuple(term.strip() for term in (self.terms or "").split(",") if term.strip())

    def to_dict(self) -> dict[str, Any]:
        """The model plot as the JSON API shows it."""
        shown: dict[str, Any] = {"enabled": self.enabled}
        if self.terms is not None:
            shown["terms"] = self.terms
        return shown | {"annotations_enabled": self.annotations_enabled}


def read_model_plot(section: Section) -> ModelPlotConfig:
    """Reads the model plot; annotations follow ``enabled`` unless they are set."""
    section.require("enabled")
    enabled = section.flag("enabled")
    plot = ModelPlotConfig(
        enabled, section.text("terms"), section.flag("annotations_enabled", default=enabled)
    )
    section.finish()
    return plot
