"""Categories of messages, the slow and obvious way: every message is compared with every template."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tidegate.vocabulary import DATES, KNOWN

VARIABLE, ANY = "<variable>", "<any>"
TOKEN = re.compile(r"[0-9A-Za-z/\x80-\xff]+(?:[_.-]{1,2}[0-9A-Za-z/\x80-\xff]+)*")
HEX = re.compile(r"[A-Fa-f]{8,}")
LINE_END = re.compile(r"[\n\r]")
KNOWN_FORMS = {form for word in KNOWN for form in (word, word.capitalize(), word.upper())}
MOST_BYTES, MOST_TOKENS = 1000, 100


def tokens(message: str) -> list[str]:
    """The tokens of the first line that has a letter, VARIABLE for those that vary."""
    found: list[str] = []
    for line in LINE_END.split(message.encode().decode("latin-1")):
        found, has_letter, cut = line_tokens(line)
        if has_letter or cut:
            break
    return found if any(token != VARIABLE for token in found) else [VARIABLE]


def line_tokens(line: str) -> tuple[list[str], bool, bool]:
    """The tokens of a line, whether it has a letter, whether it was cut."""
    text = line[:MOST_BYTES]
    is_cut = len(line) > MOST_BYTES
    found: list[str] = []
    has_letter, end = False, 0
    for match in TOKEN.finditer(text):
        token = match[0]
        if (is_cut and match.end() == len(text)) or len(found) == MOST_TOKENS:
            return found, has_letter, True
        if not re.search(r"[0-9A-Za-z\x80-\xff]", token):
            continue
        has_letter = has_letter or re.search(r"[A-Za-z\x80-\xff]", token) is not None
        between, end = text[end : match.start()], match.end()
        if re.search("[0-9]", token) or token[0] == "/" or HEX.fullmatch(token) or token in DATES:
            is_listed = not re.search(r"[ \t\v\f]", between) or re.search("[,;|]", between)
            if not (found and found[-1] == VARIABLE and is_listed):
                found.append(VARIABLE)
        else:
            found.append(token)
    return found, has_letter, is_cut


def is_known(token: str) -> bool:
    """Whether a token is of the vocabulary, or ends as if it were."""
    ending = re.search(r"(ing|ed|tion)$", token, re.IGNORECASE)
    return token in KNOWN_FORMS or (len(token) >= 5 and ending is not None)


@dataclass
class Template:
    """The template of a category."""

    partition: int
    words: list[str]
    successor: int | None = None
    matches: int = 0
    terms: list[str] = field(default_factory=list)

    def shared(self, message: list[str]) -> int:
        """How many words are the same."""
        return sum(a == b != VARIABLE for a, b in zip(message, self.words, strict=True))

    def differing(self, message: list[str]) -> list[tuple[str, str]]:
        """The positions where the two differ, as pairs."""
        return [(a, b) for a, b in zip(message, self.words, strict=True) if b not in (a, ANY)]

    def covers(self, other: Template) -> bool:
        """Whether every message of the other one is one of this."""
        return all(a in (ANY, b) for a, b in zip(self.words, other.words, strict=True))


class NaiveCategorizer:
    """Categories from 1, 0 for no message."""

    def __init__(self) -> None:
        self.templates: list[Template] = []
        self.seen: dict[tuple[int, tuple[str, ...]], int] = {}

    def code(self, message: str | None, partition: int = 0) -> int:
        """The category of the next message."""
        if not message:
            return 0
        words = tokens(message)
        key = (partition, tuple(words))
        if key not in self.seen:
            self.seen[key] = self._match(words, partition)
        number = self.seen[key]
        while (successor := self.templates[number].successor) is not None:
            number = successor
        self.templates[number].matches += 1
        return number + 1

    def _match(self, message: list[str], partition: int) -> int:
        count = sum(word != VARIABLE for word in message)
        if not count:
            return self._wordless(message, partition)
        alike = [
            k
            for k, template in enumerate(self.templates)
            if template.successor is None
            and template.partition == partition
            and len(template.words) == len(message)
            and template.shared(message) >= (count + 1) // 2
        ]
        same = [k for k in alike if not self.templates[k].differing(message)]
        sure = [k for k in alike if self._is_sure(message, self.templates[k])]
        if same:
            return self._best(same, message)
        if sure:
            number = self._best(sure, message)
            self.templates[number].words = [
                a if a == b else ANY for a, b in zip(self.templates[number].words, message, strict=True)
            ]
            return self._absorb(number, alike)
        number = self._learn(message, alike, (count + 1) // 2)
        if number is not None:
            return self._absorb(number, alike)
        self.templates.append(Template(partition, list(message)))
        return len(self.templates) - 1

    def _wordless(self, message: list[str], partition: int) -> int:
        """The one category of a partition's messages without words."""
        for k, template in enumerate(self.templates):
            if template.partition == partition and template.words == message:
                return k
        self.templates.append(Template(partition, list(message)))
        return len(self.templates) - 1

    def _best(self, numbers: list[int], message: list[str]) -> int:
        return max(numbers, key=lambda k: (self.templates[k].shared(message), -k))

    @staticmethod
    def _is_sure(message: list[str], template: Template) -> bool:
        differing = template.differing(message)
        known = sum(a == b and is_known(a) for a, b in zip(message, template.words, strict=True))
        if not differing or any(is_known(a) and is_known(b) for a, b in differing):
            return False
        return known > len(differing) or known == len(differing) > 1

    def _learn(self, message: list[str], alike: list[int], needed: int) -> int | None:
        """The oldest template that equals the message where names do not vary, if any."""
        columns = list(zip(message, *(self.templates[k].words for k in alike), strict=True))
        varies = [
            ANY in column or sum(1 if is_known(word) else 4 for word in set(column)) >= 12
            for column in columns
        ]
        if sum(not v and word != VARIABLE for v, word in zip(varies, message, strict=True)) < needed:
            return None
        for k in alike:
            words = self.templates[k].words
            if all(v or a == b for v, a, b in zip(varies, message, words, strict=True)):
                self.templates[k].words = [ANY if v else a for v, a in zip(varies, words, strict=True)]
                return k
        return None

    def _absorb(self, number: int, alike: list[int]) -> int:
        for k in alike:
            if k != number and self.templates[number].covers(self.templates[k]):
                self.templates[k].successor = number
        return number
