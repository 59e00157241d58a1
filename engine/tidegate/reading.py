"""How messages are read, as the kernels of categorization want to know it."""

from __future__ import annotations

import string
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tidegate_kernels import tokens as kernels

from .cells import I64
from .config.analyzer import ALL_LINES, FIRST_NON_BLANK, FIRST_WITH_LETTERS, SPLIT, Analyzer
from .keys import U8, U64
from .vocabulary import DATES

_LINES = {
    ALL_LINES: kernels.ALL_LINES,
    FIRST_NON_BLANK: kernels.FIRST_NON_BLANK,
    FIRST_WITH_LETTERS: kernels.FIRST_WITH_LETTERS,
}
_NO_BYTES: U8 = np.empty(0, np.uint8)


class Reading:
    """What an analyzer replaces in messages, and its `rules` of what a token is: kernels take them."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._replacements = analyzer.replacements
        self.rules = (
            byte_classes(analyzer.tokenizer, analyzer.lines),
            _LINES[analyzer.lines],
            word_set(DATES if analyzer.knows_dates else ()),
            word_set(analyzer.stops),
        )

    def replaced(self, text: pa.LargeStringArray) -> pa.LargeStringArray:
        """The messages after all replacements."""
        for pattern, replacement in self._replacements:
            text = pc.replace_substring_regex(text, pattern, replacement)
        return text


def byte_classes(tokenizer: str, lines: str) -> U8:
    """The class of every byte, see `tidegate_kernels.tokens`."""
    kinds = np.full(256, kernels.DELIMITER, np.uint8)

    def put(characters: Iterable[int], kind: int) -> None:
        kinds[list(characters)] = kind

    put(b" \t\v\f", kernels.SPACE)
    put(b",;|", kernels.COMMA)
    if tokenizer == "whitespace":
        put(range(33, 128), kernels.LETTER)
    elif tokenizer == SPLIT:
        put(range(1, 128), kernels.LETTER)
    put(range(128, 256), kernels.LETTER)
    put(string.ascii_letters.encode(), kernels.LETTER)
    put(b"abcdefABCDEF", kernels.HEX_LETTER)
    if tokenizer not in ("simple", "letter"):
        put(string.digits.encode(), kernels.DIGIT)
    if tokenizer in ("ml_standard", "ml_classic"):
        put(b"_.-", kernels.CONNECTOR)
    if tokenizer == "ml_standard":
        put(b"/", kernels.SLASH)
    if tokenizer == "standard":
        put(b"_", kernels.LETTER)
        put(b".", kernels.CONNECTOR)
    if tokenizer != SPLIT or lines != ALL_LINES:
        put(b"\n\r", kernels.LINE_END)
    return kinds


def word_set(words: Iterable[str]) -> U64:
    """The hashes of words, as `tokens.holds` looks them up."""
    text = pa.array(list(words), pa.large_string())
    size = 64
    while size < 4 * len(text):
        size *= 2
    table = np.zeros(size, np.uint64)
    kernels.add_words(*text_buffers(text), table)
    return table


def text_buffers(text: pa.LargeStringArray) -> tuple[I64, U8]:
    """Offsets and bytes of text."""
    if not len(text):
        return np.zeros(1, np.int64), _NO_BYTES
    _, offset_buffer, data_buffer = text.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64, len(text) + 1, text.offset * 8)
    return offsets, _NO_BYTES if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
