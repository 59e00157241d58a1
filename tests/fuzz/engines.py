"""Where inputs come from: mutated seeds, hypothesis, or atheris, which looks for new code to reach."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from tests.fuzz.targets import Target, target_of

Run = Callable[[bytes], None]
INSTRUMENTED = ["tidegate", "tidegate_kernels"]
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x5C, 0x2D)


def mutated(data: bytes, target: Target, dice: random.Random) -> bytes:
    """An input with a few changes: bytes, pieces moved and doubled, tokens put in."""
    made = bytearray(data)
    for _ in range(1 + min(dice.getrandbits(8).bit_length() // 2, 4)):
        at = dice.randrange(len(made) + 1)
        stop = min(at + 1 + dice.getrandbits(dice.choice((1, 3, 6))), len(made))
        act = dice.randrange(7)
        if act == 0 and at < len(made):
            made[at] ^= 1 << dice.randrange(8)
        elif act == 1:
            made[at : at + 1] = bytes([dice.choice(_EDGES)])
        elif act == 2:
            del made[at:stop]
        elif act == 3:
            made[at:at] = made[at:stop] * dice.choice((1, 2, 30))
        elif act == 4 and target.tokens:
            made[at : dice.choice((at, stop))] = dice.choice(target.tokens)
        elif act == 5 and target.tokens:
            token = dice.choice(target.tokens)
            made[at : at + len(token)] = token
        else:
            made[at:stop] = dice.randbytes(stop - at)
    return bytes(made[: target.most_bytes])


def random_inputs(target: Target, seed: int) -> Iterator[bytes]:
    """The seeds, then mutations of them without an end; the same for the same number."""
    dice, seeds = random.Random(seed), target.seeds()
    yield from seeds
    while True:
        data = dice.choice(seeds)
        if dice.randrange(8) == 0:
            other = dice.choice(seeds)
            data = data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other) + 1) :]
        elif dice.randrange(16) == 0:
            data = dice.randbytes(dice.randrange(64))
        yield mutated(data, target, dice)


def run_random(name: str, run: Run, seconds: float, seed: int) -> None:
    """Runs mutations of the seeds until the time is up."""
    end = time.monotonic() + seconds
    for data in random_inputs(target_of(name), seed):
        if time.monotonic() > end:
            return
        run(data)


def run_hypothesis(name: str, run: Run, seconds: float, seed: int) -> None:
    """Runs what hypothesis makes up, of seeds and tokens too, until the time is up."""
    import hypothesis
    from hypothesis import HealthCheck, settings
    from hypothesis import strategies as st

    target, end = target_of(name), time.monotonic() + seconds
    piece = st.one_of(st.binary(max_size=24), st.sampled_from(target.tokens or (b"\0",)))
    edits = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 8), piece), max_size=4)
    inputs = st.one_of(
        st.tuples(st.sampled_from(target.seeds()), edits),
        st.tuples(st.binary(max_size=target.most_bytes // 2), edits),
        st.tuples(st.lists(piece, max_size=12).map(b"".join), edits),
    )

    def one(given: tuple[bytes, list[tuple[int, int, bytes]]]) -> None:
        data = bytearray(given[0])
        for at, length, piece in given[1]:
            data[at % (len(data) + 1) :][:length] = piece
            data[at % (len(data) + 1) : at % (len(data) + 1) + length] = piece
        if time.monotonic() < end:
            run(bytes(data[: target.most_bytes]))

    chosen = settings(
        max_examples=2000, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    for round_ in count(seed):
        if time.monotonic() > end:
            return
        hypothesis.seed(round_)(chosen(hypothesis.given(inputs)(one)))()


def run_atheris(name: str, run: Run, seconds: float, seed: int) -> None:
    """Runs what atheris finds, led by the coverage of engine and kernels; ends the process."""
    import atheris

    os.environ["TIDEGATE_KERNELS"] = "python"
    for module in [m for m in sys.modules if m.split(".")[0] in INSTRUMENTED and "errors" not in m]:
        if module not in INSTRUMENTED:
            del sys.modules[module]
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = target_of(name)
    corpus = Path(tempfile.mkdtemp(prefix="tidegate-corpus-"))
    for at, data in enumerate(target.seeds()):
        (corpus / f"{at:05d}").write_bytes(data)
    words = corpus.with_suffix(".dict")
    words.write_text(
        "".join(f'"{"".join(f"{chr(92)}x{b:02x}" for b in token)}"\n' for token in target.tokens)
    )
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed + 1}", f"-max_len={target.most_bytes}"]
    options += ["-timeout=0", "-rss_limit_mb=0", "-handle_segv=0", "-handle_abrt=0", "-handle_bus=0"]
    options += [f"-dict={words}"] if target.tokens else []
    options += ["-verbosity=0", "-print_final_stats=0", str(corpus)]
    atheris.Setup([sys.argv[0], *options], run)
    atheris.Fuzz()


ENGINES: dict[str, Callable[[str, Run, float, int], None]] = {
    "atheris": run_atheris,
    "hypothesis": run_hypothesis,
    "random": run_random,
}
