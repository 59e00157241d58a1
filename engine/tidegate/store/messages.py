"""What happened to jobs, in words: the latest messages of each."""

from __future__ import annotations

from dataclasses import dataclass

from .session import Session

MOST_MESSAGES = 1000
"""Kept of a job; the oldest go."""


@dataclass(frozen=True, slots=True)
class Message:
    """A sentence about a job, or about the store if there is no job."""

    job_id: str | None
    time_ms: int
    level: str
    text: str


class MessagesView(Session):
    """Messages to read."""

    def messages(self, job_id: str | None = None) -> list[Message]:
        """The messages of a job, or all there are, the oldest first."""
        where = "" if job_id is None else " WHERE job = ?"
        rows = self._sql.execute(
            f"SELECT job, time, level, text FROM messages{where} ORDER BY number",
            () if job_id is None else (job_id,),
        ).fetchall()
        return [Message(*row) for row in rows]


class MessagesEdit(MessagesView):
    """Messages to add."""

    def add_message(self, job_id: str | None, time_ms: int, level: str, text: str) -> None:
        """Adds a message; of those of the job the oldest go when there are too many."""
        text = text.encode("utf-8", "backslashreplace").decode()  # a lone surrogate has no UTF-8
        self._sql.execute(
            "INSERT INTO messages (job, time, level, text) VALUES (?, ?, ?, ?)",
            (job_id, time_ms, level, text),
        )
        self._sql.execute(
            "DELETE FROM messages WHERE job IS ?1 AND number <="
            " (SELECT number FROM messages WHERE job IS ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            (job_id, MOST_MESSAGES),
        )
