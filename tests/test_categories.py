"""Categories of messages: those of the naive twin, however they come, and right for known templates."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bench.loglines import HELD_OUT, TUNED, lines_of
from hypothesis import example, given
from hypothesis import strategies as st
from tests.naive_categories import ANY, VARIABLE, NaiveCategorizer, tokens

from tidegate.categories import regex_of
from tidegate.categorize import MOST_EXAMPLE, Categorizer
from tidegate.config.analyzer import Analyzer
from tidegate.vocabulary import DATES, KNOWN
from tidegate_kernels import templates

GERMAN = {
    "german": [
        f"2026-11-23 {{int}} {{host}} {text}"
        for text in (
            "Sitzung geöffnet für Benutzer {user}",
            "Sitzung geschlossen für Benutzer {user}",
            "Verbindung von {ip} angenommen",
            "Verbindung von {ip} abgelehnt",
            "Datei {path} nicht gefunden",
        )
    ]
}
STYLES = GERMAN | TUNED | HELD_OUT
# Few words, so that templates meet; separators of every kind; what is not ASCII.
WORDS = [
    "user", "logged", "closed", "in", "alice", "bob", "eve", "Réseau", "перезапуск", "a1", "7",
    "deadbeef", "Nov", "/var/log", "x/y", "a_-b", "a---b", "-", "_x_", "...", "a.", "ing", "rotating",
    "\t", "\0",
]  # fmt: skip
SENTENCES = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)
JOINED = st.lists(st.one_of(st.sampled_from([*WORDS, ",", ";", ":", "\n", "\r", " "]))).map("".join)
MESSAGES = st.one_of(st.none(), SENTENCES, JOINED, st.text(max_size=30))


def made(**options) -> Categorizer:
    """A categorizer with room for what a test sends it."""
    return Categorizer(options.pop("analyzer", Analyzer()), **{"most_bytes": 1 << 25, **options})


def facts(categorizer: Categorizer) -> np.ndarray:
    """What is known of the categories but for the marks that searches leave."""
    return np.delete(categorizer.categories(), templates.MARK, axis=1)


def codes_of(categorizer: Categorizer, messages: list[str | None]) -> list[int]:
    return categorizer.codes(pa.array(messages, pa.string())).tolist()


@given(st.lists(MESSAGES, max_size=60))
@example(["", None, " ", "\n", "1 2", "-", "\nfirst\nsecond", "1\n2\nthird 3", "\r\n x\r\n"])
@example(
    ["x" * 999 + " y", "x" * 1000 + " y", "x" * 1001, "a " * 600, "1 " * 600, "\n" * 1200 + "late words"]
)
@example(
    ["word " * 99 + "1 2", "word " * 100 + "last", "w " * 101, "1, " * 300 + "x", "é" * 499 + " é", "é" * 501]
)
def test_categories_are_those_of_the_naive_twin(messages):
    """Whatever the text, tokens and templates are those of the definition."""
    naive, categorizer = NaiveCategorizer(), made()
    assert codes_of(categorizer, messages) == [naive.code(message) for message in messages]
    assert [own is None for own in (t.successor for t in naive.templates)] == (
        categorizer.successors() == np.arange(len(categorizer))
    ).tolist()
    assert categorizer.categories()[:, templates.MATCHES].tolist() == [
        template.matches for template in naive.templates
    ]


@pytest.mark.parametrize("style", STYLES)
def test_categories_of_logs_are_those_of_the_naive_twin(style):
    """Log lines of many templates get the categories of the definition, and the template's words as terms."""
    messages, _ = lines_of({style: STYLES[style]}, 400, seed=5)
    naive, categorizer = NaiveCategorizer(), made()
    assert codes_of(categorizer, messages) == [naive.code(message) for message in messages]
    for number, template in enumerate(naive.templates):
        words = [word for word in template.words if word not in (VARIABLE, ANY)]
        assert [term.encode().decode("latin-1") for term in categorizer.terms(number)] == words


@given(
    st.lists(st.tuples(MESSAGES, st.integers(0, 2)), max_size=60), st.lists(st.integers(0, 60)), st.booleans()
)
def test_categories_do_not_depend_on_the_batches(rows, cuts, as_dictionary):
    """However the messages are cut, encoded and sliced, each gets the same category and the same examples."""
    messages = pa.array([message for message, _ in rows], pa.string())
    partition = np.array([own for _, own in rows], np.int32)
    whole, parts = made(), made()
    expected = whole.codes(messages, partition)
    column = messages.dictionary_encode() if as_dictionary else messages.cast(pa.large_string())
    bounds = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    found = [
        parts.codes(column.slice(start, stop - start), partition[start:stop])
        for start, stop in pairwise(bounds)
    ]
    assert np.concatenate(found).tolist() == expected.tolist()
    assert parts.examples == whole.examples
    assert facts(parts).tolist() == facts(whole).tolist()
    assert parts.names.texts().to_pylist() == ["", *(str(k + 1) for k in range(len(whole)))]


@given(st.lists(st.tuples(SENTENCES, st.integers(0, 2)), max_size=60))
def test_partitions_have_categories_of_their_own(rows):
    """A partition's messages are grouped as if there were no other; ids are by first appearance in all."""
    both = made()
    codes = both.codes(
        pa.array([message for message, _ in rows]), np.array([own for _, own in rows], np.int32)
    )
    for partition in range(3):
        mine = [k for k, row in enumerate(rows) if row[1] == partition]
        alone = codes_of(made(), [rows[k][0] for k in mine])
        renumbered: dict[int, int] = {}
        together = [renumbered.setdefault(c, len(renumbered) + 1) if c else 0 for c in codes[mine].tolist()]
        assert together == alone
    seen = [code for code in dict.fromkeys(codes.tolist()) if code]
    assert seen == sorted(seen)


def accuracy(codes: list[int], truth: list[str]) -> tuple[float, float]:
    """Grouping accuracy (lines whose group is just their template's), and lines in wrong company."""
    groups, templates = defaultdict(list), defaultdict(list)
    for row, (code, template) in enumerate(zip(codes, truth, strict=True)):
        groups[code].append(row)
        templates[template].append(row)
    right = sum(len(rows) for rows in groups.values() if templates[truth[rows[0]]] == rows)
    alone = sum(max(Counter(truth[row] for row in rows).values()) for rows in groups.values())
    return right / len(codes), 1.0 - alone / len(codes)


@pytest.mark.parametrize(("styles", "least"), [(TUNED, 0.99), (HELD_OUT, 0.95), (GERMAN, 0.95)])
@pytest.mark.parametrize("seed", [1, 2])
def test_lines_of_one_template_make_one_category(styles, least, seed):
    """Grouping accuracy on logs of known templates is at least 0.95, and no two templates are merged."""
    messages, truth = lines_of(styles, 3000, seed)
    categorizer = made()
    codes = np.array(codes_of(categorizer, messages))
    right, mixed = accuracy((categorizer.successors()[codes - 1] + 1).tolist(), truth)
    assert right >= least
    assert mixed == 0.0


def test_the_regex_of_a_category_is_found_in_its_examples():
    """Every example has the category's words in order, also in messages with several lines."""
    messages, _ = lines_of(STYLES, 3000)
    categorizer = made()
    codes_of(categorizer, ["\n 1\n" + message + "\nsecond (line" for message in messages])
    for number in range(len(categorizer)):
        pattern = regex_of(categorizer.terms(number))
        assert len(categorizer.examples[number]) >= 1
        for text in categorizer.examples[number]:
            assert pc.match_substring_regex(pa.array([text]), pattern)[0].as_py(), (pattern, text)


def test_examples_are_few_different_and_short():
    """The first different messages are kept, as many as wanted, cut where they are long."""
    lines = ["user a1 in", "user a1 in", "user a2 in", "user a3 in", "user a4 in " + "é" * 1000, "user a5 in"]
    categorizer = made(examples=3)
    codes_of(categorizer, lines)
    assert categorizer.examples[0] == ["user a1 in", "user a2 in", "user a3 in"]
    none = made(examples=0)
    assert codes_of(none, lines)[:2] == [1, 1]
    assert none.examples[0] == []
    long = made()
    codes_of(long, lines[4:])
    assert all(len(text.encode()) <= MOST_EXAMPLE + 3 for texts in long.examples for text in texts)


def test_without_memory_there_are_no_new_categories():
    """At the limit known messages keep their category; new ones get none and are counted, in any batches."""
    letters = np.random.default_rng(4).choice(list("ghijklmnopq"), (4000, 3, 8))
    lines = [" ".join(map("".join, words)) for words in letters]
    whole, parts = (made(most_bytes=400_000) for _ in range(2))
    codes = codes_of(whole, lines)
    failed = codes.count(0)
    assert 0 < failed < len(lines)
    assert whole.stats().failed_category_count == failed
    assert whole.nbytes <= 400_000
    assert codes_of(whole, lines[:1]) == [1]
    assert [
        code for start in range(0, len(lines), 777) for code in codes_of(parts, lines[start : start + 777])
    ] == codes


def test_a_useless_partition_is_stopped():
    """With stop_on_warn a partition of messages that all differ gets no more categories; another does."""
    random = np.random.default_rng(3)
    noise = ["".join(random.choice(list("ghijklmnop"), 12)) for _ in range(400)]
    kinds = ["disk full", "user logged in", "connection closed", "backup started"]
    messages = [text for k in range(400) for text in (noise[k], kinds[k % 4])]
    partition = np.array([1, 2] * 400, np.int32)
    codes = made(stop_on_warn=True).codes(pa.array(messages), partition).reshape(-1, 2)
    assert (codes[:100, 0] > 0).all()
    assert (codes[100:, 0] == 0).all()
    assert (codes[:, 1] > 0).all()
    assert (made().codes(pa.array(messages), partition) > 0).all()


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["only one"] * 99, "ok"),
        (["only one"] * 100, "warn"),
        (["one thing", "another matter"] * 50, "ok"),
        ([f"{a}{b}xyz" for a in "ghijklmnop" for b in "qrstuvwxyz"], "warn"),
    ],
)
def test_the_status_warns_of_useless_categories(lines, status):
    """After 100 messages one single category, or as many as messages, are worth a warning."""
    categorizer = made()
    codes_of(categorizer, lines)
    assert categorizer.stats().categorization_status == status


def test_names_in_any_language_are_found():
    """With known words two names are enough to see that they vary; in another language it takes a third."""
    assert codes_of(made(), ["User alice logged in", "User bob logged in", "User bob logged out"]) == [
        1,
        1,
        2,
    ]
    lines = [
        f"Nutzer {name} {verb} nun" for verb in ("kommt", "geht") for name in ("eva", "ute", "max", "eva")
    ]
    categorizer = made()
    assert codes_of(categorizer, lines) == [1, 2, 1, 1, 3, 3, 3, 3]
    assert (categorizer.successors() + 1).tolist() == [1, 1, 3]
    assert categorizer.terms(0) == ["Nutzer", "kommt", "nun"]


def test_tokens_are_those_of_the_definition():
    """Words, paths, numbers, dates and lists, by example."""
    line = "Nov 23 10:15:30 host-a.x sshd[12]: [1, 2, 3] deadbeef beef /var/log and/or _end_ ERR_x."
    assert tokens(line) == [
        *[VARIABLE] * 3, "host-a.x", "sshd",
        *[VARIABLE] * 3, "beef", VARIABLE, "and/or", "end", "ERR_x",
    ]  # fmt: skip


def test_the_vocabulary_is_one():
    """Words of the vocabulary are there once, in lower case, and none is a name that dates have."""
    assert len(KNOWN) == len(set(KNOWN)) == len({word.lower() for word in KNOWN})
    assert len(DATES) == len(set(DATES))
    assert not {word.capitalize() for word in KNOWN} & set(DATES) - {"May"}


@pytest.mark.parametrize(
    ("analyzer", "lines", "codes"),
    [
        (Analyzer.filtering([r"\[[^\]]*\]"]), ["a [b c] d", "a [x] d", "a y z d"], [1, 1, 2]),
        (Analyzer.parse("ml_classic"), ["reads a/b", "reads a b"], [1, 1]),
        (Analyzer.parse("ml_standard"), ["reads a/b", "reads a b"], [1, 2]),
        (Analyzer.parse("whitespace"), ["(a) b=c", "a b c"], [1, 2]),
        (
            Analyzer.parse({"tokenizer": {"type": "simple_pattern_split", "pattern": "[+]+"}}),
            ["big cat++runs", "big cat+runs", "big+cat+runs"],
            [1, 1, 2],
        ),
        (
            Analyzer.parse(
                {
                    "char_filter": [
                        {"type": "pattern_replace", "pattern": "user=(\\w+)", "replacement": "$1 user"},
                        "first_non_blank_line",
                    ],
                    "tokenizer": "ml_standard",
                    "filter": [{"type": "stop", "stopwords": ["kindly", "please"]}],
                }
            ),
            ["user=eve please leave", "\neve user kindly leave\nnow", "eve user leave now"],
            [1, 1, 2],
        ),
    ],
)  # fmt: skip
def test_analyzers_read_as_they_say(analyzer, lines, codes):
    """What is replaced, what splits words and which words are passed over decides what is alike."""
    assert codes_of(made(analyzer=analyzer), lines) == codes
