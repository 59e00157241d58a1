"""What makes a member of a population unusual: its attributes, the least probable first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .cells import F64, I64

MOST = 10
"""Causes that a result has at most."""


@dataclass(frozen=True, slots=True)
class Causes:
    """The causes of some results; arrays are of equal length, sorted by result, then by probability."""

    result_r: I64
    """The place of the result among those of its finding."""
    attribute: I64
    """The series, of the by and partition values, in which the member is unusual."""
    log_p: F64
    actual: F64
    typical: F64
    second_actual: F64
    """The second number of values that have two, longitudes; NaN for others."""
    second_typical: F64

    def __len__(self) -> int:
        return len(self.result_r)

    def only(self, chosen: npt.NDArray[np.bool_] | I64) -> Causes:
        """Some of the causes, chosen by flags, or by their places and in that order."""
        return Causes(*(getattr(self, name)[chosen] for name in self.__slots__))

    @classmethod
    def single(cls, result_r: I64, attribute: I64, log_p: F64, actual: F64, typical: F64) -> Causes:
        """Causes of values that are one number each."""
        nothing = np.full(len(result_r), np.nan)
        return cls(result_r, attribute, log_p, actual, typical, nothing, nothing)

    @classmethod
    def joined(cls, parts: list[Causes]) -> Causes:
        """The causes of results that come one part after the other."""
        if not parts:
            return cls.none()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    @classmethod
    def consecutive(cls, parts: list[Causes], sizes: list[int]) -> Causes:
        """The causes of findings whose results, so many of each, come one after the other."""
        before = np.cumsum([0, *sizes[:-1]])
        return cls.joined(
            [replace(part, result_r=part.result_r + n) for part, n in zip(parts, before, strict=True)]
        )

    @classmethod
    def none(cls) -> Causes:
        """No causes at all."""
        whole, real = np.empty(0, np.int64), np.empty(0)
        return cls(whole, whole, real, real, real, real, real)
