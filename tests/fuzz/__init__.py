"""Fuzzing of everything that reads what others wrote.

    python -m tests.fuzz                       lists the targets
    python -m tests.fuzz csv --minutes 10      fuzzes one of them
    python -m tests.fuzz csv --input FILE      runs one input again, with its traceback

Whatever bytes come in, a reader gives records or raises a TidegateError, soon, and in memory that
goes with the size of what it reads. `targets` says what is read and which laws hold of it, `oracle`
what else may not happen, `engines` where the bytes come from, `campaign` keeps a target busy in a
process of its own, whose death is a finding as well.
"""
