"""Messages to categories: the field ``mlcategory``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tidegate_kernels import categorize as kernels
from tidegate_kernels import templates, tokens

from .categorytables import Tables
from .cells import I32, I64
from .config import JobConfig
from .config.analyzer import Analyzer
from .kept import INSIDE, Keeper, require, require_within
from .keys import U8, U64, Interner
from .reading import Reading, text_buffers, word_set
from .soundness import of_rows
from .valuetext import as_text, is_text
from .vocabulary import KNOWN

MOST_EXAMPLE = tokens.MAX_BYTES
"""Bytes of a message that an example keeps."""
_FOUND = 4096
_STRING_BYTES = 64  # of a Python string beside its text
_FIRST_CHECK = 100
_NO_PARTITION: I32 = np.empty(0, np.int32)


def memory_share(config: JobConfig) -> int:
    """Bytes that the categories of a job may take: a quarter of its memory limit, if it has any."""
    if config.analysis_config.categorization_field_name is None:
        return 0
    return config.analysis_limits.model_memory_limit_bytes // 4


@dataclass(frozen=True, slots=True)
class CategorizerStats:
    """What became of the messages of a partition, and whether their categories are of use."""

    categorized_doc_count: int
    total_category_count: int
    frequent_category_count: int
    """Categories with more than one in a hundred messages."""
    rare_category_count: int
    """Categories with a single message."""
    dead_category_count: int
    """Categories that get no more messages, because another one has come to cover theirs."""
    failed_category_count: int
    """Messages without a category, because there was no memory for a new one."""

    categorization_status: str
    """``warn`` when the categories of 100 messages or more tell nothing: there is but one, more than 90% are
    rare, there are more than half as many as messages, none is frequent, or more than half were superseded
    after more than one message. Else ``ok``.

    A category that was superseded after its first message did no harm: so it goes with names in a
    language that the vocabulary does not know."""

    @classmethod
    def of(cls, messages: int, matches: I64, is_dead: npt.NDArray[np.bool_], failed: int) -> CategorizerStats:
        """The figures of categories with so many messages each."""
        total = len(matches)
        frequent = int(np.count_nonzero(matches > 0.01 * messages))
        rare = int(np.count_nonzero(matches == 1))
        misled = int(np.count_nonzero(is_dead & (matches > 1)))
        is_useless = (
            total == 1 or rare > 0.9 * total or total > 0.5 * messages or not frequent or misled > 0.5 * total
        )
        status = "warn" if messages >= _FIRST_CHECK and is_useless else "ok"
        return cls(messages, total, frequent, rare, int(np.count_nonzero(is_dead)), failed, status)


class Categorizer(Keeper):
    """Gives messages their categories, numbered from 1 in the order of first appearance.

    >>> categorizer = Categorizer(Analyzer(), most_bytes=1 << 24)
    >>> lines = ["user bob logged in", "disk sda is full", "user eve logged in", None]
    >>> categorizer.codes(pa.array(lines)).tolist(), categorizer.names.texts().to_pylist()
    ([1, 2, 1, 0], ['', '1', '2'])

    What it takes in memory is at most `most_bytes`: after that a message that needs a new category has
    none. With `stop_on_warn` a partition whose categories turn out to be of no use gets no more.
    """

    KEPT: ClassVar = {
        "_used": INSIDE,
        "_partition": I64,
        "_tables": INSIDE,
        "examples": list[list[str]],
        "_example_bytes": int,
        "_is_full": bool,
    }

    def __init__(
        self, analyzer: Analyzer, *, most_bytes: int, examples: int = 4, stop_on_warn: bool = False
    ) -> None:
        self.names = Interner()
        """The texts of the categories: code c is the text of c."""
        self.examples: list[list[str]] = []
        """The first different messages of every category."""
        self._reading = Reading(analyzer)
        self._vocabulary = word_set([f for word in KNOWN for f in (word, word.capitalize(), word.upper())])
        self._most_bytes = most_bytes
        self._example_limit = examples
        self._first_check = _FIRST_CHECK if stop_on_warn else 0
        self._is_full = False
        self._example_bytes = 0
        self._latest: tuple[pa.Array, _Texts] | None = None
        self._used: I64 = np.zeros(templates.USED_SIZE, np.int64)
        self._partition: I64 = np.zeros(0, np.int64)
        self._tables = Tables(examples, most_bytes)
        self._scratch = (
            np.zeros(tokens.MAX_TOKENS, np.uint64),
            np.zeros(tokens.MAX_TOKENS, np.uint8),
            np.zeros(tokens.MAX_TOKENS, np.int64),
            np.zeros(tokens.MAX_TOKENS, np.int64),
            np.zeros(templates.ROOM, np.int64),
            np.zeros(tokens.MAX_TOKENS * templates.SLOTS, np.uint64),
        )
        self._found: tuple[I64, I64] = (np.zeros(_FOUND, np.int64), np.zeros(_FOUND, np.int64))

    @classmethod
    def of(cls, config: JobConfig) -> Categorizer:
        """The categorizer of a job that has a categorization field."""
        analysis, limits = config.analysis_config, config.analysis_limits
        per_partition = analysis.per_partition_categorization
        return cls(
            analysis.analyzer(),
            most_bytes=memory_share(config),
            examples=limits.categorization_examples_limit,
            stop_on_warn=per_partition is not None and per_partition.enabled and per_partition.stop_on_warn,
        )

    def __len__(self) -> int:
        return int(self._used[templates.CATEGORIES])

    def _resume(self) -> None:
        require(self._used[templates.FOUND] == 0, "examples are left to be taken")
        size = kernels.PARTITION_SIZE
        require(len(self._partition) % size == 0, "a partition is not whole")
        self._tables.require_whole(self._used, self._example_limit)
        partition = self.categories()[:, templates.PARTITION]
        require_within(partition, len(self._partition) // size, "the partition of a category")
        held = self.categories()[:, templates.EXAMPLES].tolist()
        require(held == list(map(len, self.examples)), "categories do not have their examples")

    @property
    def is_full(self) -> bool:
        """Whether there is no memory for more categories."""
        return self._is_full

    @property
    def nbytes(self) -> int:
        """Bytes of the tables and examples."""
        return self._tables.nbytes + self._example_bytes

    def codes(self, column: pa.Array, partition: I32 = _NO_PARTITION) -> I32:
        """The category of every message, 0 for one that is missing or gets none.

        `partition` has the codes of the partition values when every partition has categories of its own.
        """
        texts, rows = self._texts(column)
        codes = np.empty(len(rows), np.int32)
        self._know_partitions(int(partition.max(initial=0)) + 1)
        at = 0
        while at < len(rows):
            known = len(self)
            at = kernels.categorize(
                *texts.arrays(),
                rows,
                partition,
                *self._reading.rules,
                self._vocabulary,
                self._example_limit,
                int(self._is_full),
                at,
                self._used,
                self._partition,
                *self._tables.arrays(),
                *self._found,
                *self._scratch,
                codes,
            )
            self._take_examples(texts.raw, rows, len(self) - known)
            why = self._used[templates.WHY]
            if why == kernels.CHECK:
                self._check(int(partition[at - 1]) if len(partition) else 0)
            elif why == kernels.NO_ROOM:
                self._is_full = not self._tables.grow(self._used, self._most_bytes - self._example_bytes)
        return codes

    def _texts(self, column: pa.Array) -> tuple[_Texts, I32]:
        """The messages, and which one every row has; each entry of a dictionary is read once."""
        if not pa.types.is_dictionary(column.type):
            if not is_text(column.type):
                return self._texts(column.dictionary_encode())
            return self._read(as_text(column)), _places(np.arange(len(column), dtype=np.int32), column)
        if len(column.dictionary) > len(column):
            # A part of something larger: what it does not use need not be read.
            return self._texts(column.dictionary.take(column.indices))
        if self._latest is None or not self._latest[0].equals(column.dictionary):
            self._latest = (column.dictionary, self._read(as_text(column.dictionary)))
        places = np.arange(len(column.dictionary), dtype=np.int32)
        return self._latest[1], of_rows(places, np.int32(-1), column)

    def _read(self, raw: pa.LargeStringArray) -> _Texts:
        text = self._reading.replaced(raw)
        sequence = np.empty(len(raw), np.uint64)
        hash_t, _, start_t, stop_t, _, _ = self._scratch
        texts = _Texts(raw, text, sequence)
        offsets, data, *_ = texts.arrays()
        tokens.hash_sequences(offsets, data, *self._reading.rules, hash_t, start_t, stop_t, sequence)
        return texts

    def _know_partitions(self, count: int) -> None:
        known = len(self._partition) // kernels.PARTITION_SIZE
        if count > known:
            new = np.zeros((max(count, 2 * known) - known, kernels.PARTITION_SIZE), np.int64)
            new[:, kernels.NEXT_CHECK] = self._first_check
            self._partition = np.concatenate([self._partition, new.reshape(-1)])

    def _take_examples(self, raw: pa.LargeStringArray, rows: I32, added: int) -> None:
        """Keeps the examples that were found, and names new categories."""
        first = len(self) - added + 1
        self.names.codes(pa.array([str(c) for c in range(first, first + added)], pa.string()))
        self.examples += [[] for _ in range(added)]
        found_row, found_c = self._found
        for k in range(int(self._used[templates.FOUND])):
            text = raw[int(rows[found_row[k]])].as_py()
            encoded = text.encode()
            if len(encoded) > MOST_EXAMPLE:
                text = encoded[:MOST_EXAMPLE].decode("utf-8", "ignore") + "..."
            self.examples[found_c[k]].append(text)
            self._example_bytes += min(len(encoded), MOST_EXAMPLE) + _STRING_BYTES
        self._used[templates.FOUND] = 0

    def _check(self, partition: int) -> None:
        """Looks at the status of a partition, which may be over then."""
        at = partition * kernels.PARTITION_SIZE
        messages = int(self._partition[at + kernels.DOCUMENTS])
        self._partition[at + kernels.NEXT_CHECK] = messages + max(_FIRST_CHECK, messages // 10)
        if self.stats(partition).categorization_status == "warn":
            self._partition[at + kernels.STOPPED] = 1

    def stats(self, partition: int | None = None) -> CategorizerStats:
        """The figures of a partition, or those of all."""
        own = self._partition.reshape(-1, kernels.PARTITION_SIZE)
        category, is_dead = self.categories(), self.successors() != np.arange(len(self))
        if partition is not None:
            own = own[partition : partition + 1]
            mine = category[:, templates.PARTITION] == partition
            category, is_dead = category[mine], is_dead[mine]
        return CategorizerStats.of(
            int(own[:, kernels.DOCUMENTS].sum()),
            category[:, templates.MATCHES],
            is_dead,
            int(own[:, kernels.FAILED].sum()),
        )

    def categories(self) -> npt.NDArray[np.int64]:
        """The records of all categories, see ``templates.CATEGORY_SIZE``; shares memory."""
        size = templates.CATEGORY_SIZE
        return self._tables.category[: len(self) * size].reshape(-1, size)

    def successors(self) -> I64:
        """For every category (from 0) the one that gets its messages now: itself, or what covers it."""
        after: I64 = self.categories()[:, templates.FORWARD]
        while (further := after[after]).tolist() != after.tolist():
            after = further
        return after

    @property
    def partitions(self) -> npt.NDArray[np.int64]:
        """Codes of the partitions that have had a message with or without a category."""
        own = self._partition.reshape(-1, kernels.PARTITION_SIZE)
        seen: npt.NDArray[np.int64] = np.flatnonzero(own[:, : kernels.FAILED + 1].any(axis=1))
        return seen

    def terms(self, category: int) -> list[str]:
        """The words, in order, that all messages of a category (from 0) have."""
        hash_t, _, start_t, stop_t, _, _ = self._scratch
        text, hash_k = self._tables.template(category, self._used)
        data = np.frombuffer(text, np.uint8)
        n = tokens.split_text(data, *self._reading.rules, hash_t, start_t, stop_t)
        return [
            text[start_t[t] : stop_t[t]].decode()
            for t in range(n)
            if hash_k[t] == hash_t[t] != tokens.VARIABLE
        ]


class _Texts:
    """Messages of a batch or a dictionary: as they came, as they are read, and their sequences' hashes."""

    def __init__(self, raw: pa.LargeStringArray, text: pa.LargeStringArray, sequence: U64) -> None:
        self.raw = raw
        self._text = text
        self._sequence = sequence

    def arrays(self) -> tuple[I64, U8, U64, I64, U8]:
        """What the kernels take: text, sequences and the text as it came."""
        return (*text_buffers(self._text), self._sequence, *text_buffers(self.raw))


def _places(indices: npt.NDArray[Any], column: pa.Array) -> I32:
    """The indices, -1 where the row has no value."""
    if column.null_count == 0:
        return np.ascontiguousarray(indices, np.int32)
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return np.where(missing, np.int32(-1), indices).astype(np.int32)
