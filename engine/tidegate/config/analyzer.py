"""How a message is read before it is categorised: what is replaced in it, and what its words are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..patterns import pattern_problem

__all__ = ["SPLIT", "Analyzer", "AnalyzerError"]

NAMED = ("ml_standard", "ml_classic", "standard", "whitespace", "simple", "letter")
"""Analyzers and tokenizers that are known by name."""
SPLIT = "\0"
"""The tokenizer of words that a pattern parts, and what stands in the place of the pattern then."""
ALL_LINES, FIRST_NON_BLANK, FIRST_WITH_LETTERS = (
    "all_lines",
    "first_non_blank_line",
    "first_line_with_letters",
)


@dataclass(frozen=True, slots=True)
class Analyzer:
    """The reading of messages: what `Analyzer()` does, or else `filtering` or `parse`."""

    replacements: tuple[tuple[str, str], ...] = ()
    """Patterns (RE2) and what stands in the place of what they match."""
    tokenizer: str = "ml_standard"
    lines: str = FIRST_WITH_LETTERS
    knows_dates: bool = True
    """Whether names of days and months, and the like, vary as numbers do."""
    stops: tuple[str, ...] = ()
    """Words that are passed over."""

    @classmethod
    def filtering(cls, filters: Iterable[str]) -> Analyzer:
        """The standard analyzer without what some patterns match.

        What they match ends a word, as a space does: so the words are words of the message.
        """
        return cls(tuple((pattern, " ") for pattern in filters))

    @classmethod
    def parse(cls, setting: str | Mapping[str, Any]) -> Analyzer:
        """The analyzer that a configuration asks for; raises AnalyzerError.

        >>> Analyzer.parse("ml_classic").tokenizer
        'ml_classic'
        >>> Analyzer.parse({"tokenizer": "letter", "filter": [{"type": "stop", "stopwords": ["a"]}]}).stops
        ('a',)
        """
        if isinstance(setting, str):
            return _named(setting)
        problems: list[tuple[str, str]] = []
        made = _custom(setting, problems)
        if problems:
            raise AnalyzerError(problems)
        return made


class AnalyzerError(ValueError):
    """A configuration of an analyzer that cannot be followed; ``problems`` are (path, message) pairs."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "; ".join(f"{path}: {message}" if path else message for path, message in self.problems)
        )


def _named(name: str) -> Analyzer:
    if name not in NAMED:
        raise AnalyzerError([("", f"'{name}' is not one of {', '.join(NAMED)}")])
    if name == "ml_classic":
        return Analyzer(tokenizer=name, lines=FIRST_NON_BLANK)
    if name == "ml_standard":
        return Analyzer()
    return Analyzer(tokenizer=name, lines=ALL_LINES, knows_dates=False)


def _custom(setting: Mapping[str, Any], problems: list[tuple[str, str]]) -> Analyzer:
    known = ("char_filter", "tokenizer", "filter")
    problems += [(key, f"unknown field [{key}]") for key in setting if key not in known]
    replacements: list[tuple[str, str]] = []
    lines = ALL_LINES
    for path, part in _parts(setting, "char_filter"):
        if part in (FIRST_NON_BLANK, FIRST_WITH_LETTERS):
            lines = part
        elif isinstance(part, Mapping) and part.get("type") == "pattern_replace":
            replacements += _replacement(path, part, problems)
        else:
            allowed = f"{FIRST_NON_BLANK}, {FIRST_WITH_LETTERS} and objects of type pattern_replace"
            problems.append((path, f"{_shown(part)} is not supported; allowed are {allowed}"))
    tokenizer = _tokenizer(setting.get("tokenizer"), replacements, problems)
    stops: list[str] = []
    for path, part in _parts(setting, "filter"):
        words = part.get("stopwords") if isinstance(part, Mapping) and part.get("type") == "stop" else None
        if isinstance(words, list) and all(isinstance(word, str) and word for word in words):
            stops += words
        elif not (isinstance(part, Mapping) and part.get("type") == "limit"):
            allowed = "objects of type stop with a list of stopwords, and of type limit"
            problems.append((path, f"{_shown(part)} is not supported; allowed are {allowed}"))
    return Analyzer(tuple(replacements), tokenizer, lines, False, tuple(dict.fromkeys(stops)))


def _parts(setting: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    parts = setting.get(key)
    listed = parts if isinstance(parts, list) else [] if parts is None else [parts]
    yield from ((f"{key}[{i}]", part) for i, part in enumerate(listed))


def _replacement(
    path: str, part: Mapping[str, Any], problems: list[tuple[str, str]]
) -> Iterator[tuple[str, str]]:
    pattern, by = part.get("pattern"), part.get("replacement", "")
    if not isinstance(pattern, str) or not isinstance(by, str):
        problems.append(
            (f"{path}.pattern", "a pattern_replace has a pattern and a replacement, both strings")
        )
        return
    if problem := pattern_problem(pattern):
        problems.append((f"{path}.pattern", problem))
        return
    yield pattern, _re2_replacement(by)


def _re2_replacement(text: str) -> str:
    r"""The replacement with RE2's references to groups (``\1``) instead of Java's (``$1``).

    >>> _re2_replacement("$1-\\$x")
    '\\1-$x'
    """
    made, at = [], 0
    while at < len(text):
        if text[at] == "$" and text[at + 1 : at + 2].isdigit():
            made.append("\\" + text[at + 1])
            at += 2
        elif text[at] == "\\":
            made.append("\\\\" if text[at + 1 : at + 2] == "\\" else text[at + 1 : at + 2])
            at += 2
        else:
            made.append(text[at])
            at += 1
    return "".join(made)


def _tokenizer(given: Any, replacements: list[tuple[str, str]], problems: list[tuple[str, str]]) -> str:
    """The name of the tokenizer; a pattern that splits is added to the replacements."""
    if given is None:
        return "ml_standard"
    if isinstance(given, str) and given in NAMED:
        return given
    kind = given.get("type") if isinstance(given, Mapping) else None
    if kind in ("simple_pattern_split", "pattern"):
        pattern = given.get("pattern", r"\W+" if kind == "pattern" else None)
        if not isinstance(pattern, str) or not pattern or given.get("group", -1) != -1:
            problems.append(("tokenizer.pattern", f"a tokenizer of type {kind} has a pattern between words"))
        elif problem := pattern_problem(pattern):
            problems.append(("tokenizer.pattern", problem))
        else:
            replacements.append((pattern, SPLIT))
        return SPLIT
    allowed = f"{', '.join(NAMED)} and objects of type simple_pattern_split or pattern"
    problems.append(("tokenizer", f"{_shown(given)} is not supported; allowed are {allowed}"))
    return "ml_standard"


def _shown(part: Any) -> str:
    if isinstance(part, Mapping):
        return f"an object of type '{part.get('type')}'"
    return f"'{part}'" if isinstance(part, str) else repr(part)
