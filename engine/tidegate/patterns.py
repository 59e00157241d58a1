"""Regular expressions of a configuration: those of RE2, which Arrow looks for in whole columns."""

from __future__ import annotations


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a regular expression, None if nothing is.

    >>> pattern_problem("a+"), pattern_problem("(a")
    (None, "'(a' is not a regular expression of RE2: missing )")
    """
    # Imported here: a configuration without patterns is checked without waiting for Arrow.
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.replace_substring_regex(pa.array([""]), pattern, "")
    except pa.ArrowException as error:
        # "Invalid regular expression: what: where", and the where has parentheses that nobody wrote.
        reason = str(error).partition(": ")[2].rpartition(": ")[0] or str(error)
        return f"'{pattern}' is not a regular expression of RE2: {reason}"
    return None
