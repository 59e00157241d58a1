"""How the command line ends: one line per problem, never a traceback for what a user can cause."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from ..errors import ConfigError, TidegateError

INTERRUPTED = 130
BROKEN_PIPE = 1


class Problems(click.ClickException):
    """What is wrong with the options, a file or a configuration: one message per problem."""

    exit_code = 2

    def __init__(self, messages: str | Iterable[str]) -> None:
        self.messages = [messages] if isinstance(messages, str) else list(messages)
        super().__init__("\n".join(self.messages))


class Interrupted(click.ClickException):
    """The user pressed Ctrl-C; the message says what was done until then."""

    exit_code = INTERRUPTED


class Program(click.Group):
    """A group of commands that reports every failure in the same way."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, *, standalone_mode: bool = True, **extra: Any
    ) -> Any:
        """Runs the command and exits: 0 fine, 2 wrong use, 130 interrupted."""
        if not standalone_mode:
            return super().main(args, standalone_mode=False, **extra)
        try:
            status = super().main(args, standalone_mode=False, **extra)
            sys.stdout.flush()
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            status = error.exit_code
        except Interrupted as error:
            click.echo(f"Interrupted: {error.message}", err=True)
            status = error.exit_code
        except Problems as error:
            for message in error.messages:
                click.echo(f"Error: {message}", err=True)
            status = error.exit_code
        except click.ClickException as error:
            click.echo(f"Error: {' '.join(error.format_message().split())}", err=True)
            status = error.exit_code
        except TidegateError as error:
            for message in _messages(error):
                click.echo(f"Error: {' '.join(message.split())}", err=True)
            status = Problems.exit_code
        except ImportError as error:
            from tidegate_kernels import NativeError

            if not isinstance(error, NativeError):
                raise
            click.echo(f"Error: {error}", err=True)
            status = Problems.exit_code
        except click.Abort:
            click.echo("Interrupted: nothing was done", err=True)
            status = INTERRUPTED
        except BrokenPipeError:
            # Nobody reads the rest; what is still buffered must not fail again at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = BROKEN_PIPE
        sys.exit(status if isinstance(status, int) else 0)


def _messages(error: TidegateError) -> list[str]:
    """One message for each problem that the library tells of."""
    if isinstance(error, ConfigError):
        return [f"{path}: {message}" if path else message for path, message in error.problems]
    return [str(error)]
