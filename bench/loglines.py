"""Log lines of known templates, in the styles of well-known programs.

A template is text with placeholders in braces; every line fills them anew. `TUNED` are the styles that
the rules of categorization were chosen on, `HELD_OUT` those that they were only measured on. They are in
`loglines.txt`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Random = np.random.Generator
_POOL = 5000
"""Different values of a placeholder."""

_USERS = [
    "alice",
    "bob",
    "carol",
    "dave",
    "erin",
    "frank",
    "grace",
    "heidi",
    "ivan",
    "judy",
    "mallory",
    "niaj",
    "olivia",
    "peggy",
    "rupert",
    "sybil",
    "trent",
    "victor",
    "walter",
    "root",
    "admin",
    "oracle",
    "postgres",
    "nagios",
    "jenkins",
    "git",
    "deploy",
    "guest",
    "test",
    "ubuntu",
    "pi",
]
_HOSTS = [
    "web",
    "db",
    "cache",
    "combo",
    "mail",
    "gw",
    "proxy",
    "build",
    "node",
    "worker",
    "edge",
    "core",
    "alpha",
    "beta",
    "gamma",
]
_PATHS = [
    "var",
    "usr",
    "opt",
    "home",
    "data",
    "srv",
    "lib",
    "log",
    "tmp",
    "app",
    "cache",
    "spool",
    "run",
    "share",
    "local",
]
_SERVICES = [
    "nginx",
    "redis",
    "cron",
    "dbus",
    "chrony",
    "snapd",
    "docker",
    "rsyslog",
    "postfix",
    "grafana",
    "consul",
    "vault",
    "kubelet",
]
_TOPICS = [
    "orders",
    "payments",
    "clicks",
    "users-events",
    "audit",
    "inventory",
    "shipping",
    "metrics.raw",
    "page_views",
]
_CLASSES = [
    "OrderService",
    "PaymentGateway",
    "UserRepository",
    "CartController",
    "MailQueue",
    "TokenStore",
    "Ledger",
]


def _hex(random: Random, digits: int) -> str:
    return "".join("0123456789abcdef"[k] for k in random.integers(0, 16, digits))


def _letters(random: Random, least: int, most: int) -> str:
    letters = random.integers(0, 26, random.integers(least, most + 1))
    return "".join("abcdefghijklmnopqrstuvwxyz"[k] for k in letters)


def _pick(words: list[str]) -> Callable[[Random], str]:
    return lambda random: words[random.integers(len(words))]


def _uuid(random: Random) -> str:
    return "-".join(_hex(random, n) for n in (8, 4, 4, 4, 12))


FILLERS: dict[str, Callable[[Random], str]] = {
    "int": lambda r: str(r.integers(0, 100_000)),
    "small": lambda r: str(r.integers(0, 20)),
    "float": lambda r: f"{r.uniform(0, 500):.3f}",
    "ip": lambda r: ".".join(str(n) for n in r.integers(1, 255, 4)),
    "port": lambda r: str(r.integers(1024, 65536)),
    "pid": lambda r: str(r.integers(100, 32768)),
    "hex": lambda r: "0x" + _hex(r, 8),
    "sha": lambda r: _hex(r, 12),
    "uuid": _uuid,
    "user": _pick(_USERS),
    "name": lambda r: _letters(r, 4, 9),
    "host": lambda r: _HOSTS[r.integers(len(_HOSTS))] + (str(r.integers(1, 40)) if r.random() < 0.7 else ""),
    "fqdn": lambda r: f"{_letters(r, 3, 8)}.{_letters(r, 3, 6)}.example.com",
    "path": lambda r: "/" + "/".join(r.choice(_PATHS, r.integers(1, 5))) + f"/{_letters(r, 3, 8)}.log",
    "uri": lambda r: "/" + "/".join(r.choice(_PATHS, r.integers(1, 4))) + f"?id={r.integers(1, 9999)}",
    "service": _pick(_SERVICES),
    "topic": _pick(_TOPICS),
    "class": _pick(_CLASSES),
    "blk": lambda r: f"blk_{r.integers(-(10**18), 10**18)}",
    "dev": lambda r: "sd" + "abcdefgh"[r.integers(8)] + (str(r.integers(1, 5)) if r.random() < 0.5 else ""),
    "eth": lambda r: f"eth{r.integers(0, 4)}",
    "pod": lambda r: f"{_SERVICES[r.integers(len(_SERVICES))]}-{_hex(r, 9)}-{_letters(r, 5, 5)}",
    "ns": _pick(["default", "kube-system", "monitoring", "prod", "staging", "payments", "ingress-nginx"]),
    "size": lambda r: f"{r.integers(1, 999)}{['B', 'KB', 'MB', 'GB'][r.integers(4)]}",
    "ms": lambda r: f"{r.integers(1, 9999)}ms",
    "thread": lambda r: f"pool-{r.integers(1, 9)}-thread-{r.integers(1, 33)}",
    "syslog": lambda r: (
        f"{['Jan', 'Feb', 'Mar', 'Nov', 'Dec'][r.integers(5)]} {r.integers(1, 29):2d} "
        f"{r.integers(24):02d}:{r.integers(60):02d}:{r.integers(60):02d}"
    ),
    "iso": lambda r: (
        f"2026-{r.integers(1, 13):02d}-{r.integers(1, 29):02d}T{r.integers(24):02d}:{r.integers(60):02d}:"
        f"{r.integers(60):02d}.{r.integers(1000):03d}Z"
    ),
    "log4j": lambda r: (
        f"2026-11-{r.integers(1, 29):02d} {r.integers(24):02d}:{r.integers(60):02d}:{r.integers(60):02d},"
        f"{r.integers(1000):03d}"
    ),
}

Styles = dict[str, list[str]]


def styles(name: str) -> Styles:
    """The templates of every style of a set of `loglines.txt`."""
    found: Styles = {}
    head, style = "", ""
    for line in (Path(__file__).parent / "loglines.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            style = line.removeprefix(f"= {name} ") if line.startswith(f"= {name} ") else ""
        elif line.startswith("> "):
            head = line[2:]
        elif style and line:
            found.setdefault(style, []).append(f"{head} {line}")
    return found


TUNED, HELD_OUT = styles("tuned"), styles("held_out")


def lines_of(styles: Styles, rows: int, seed: int = 7) -> tuple[list[str], list[str]]:
    """Lines of all templates of some styles, mixed, some much rarer than others; and the template of each."""
    text, which, templates = log_column(styles, rows, seed)
    return text.to_pylist(), [templates[k] for k in which.tolist()]


def log_column(
    styles: Styles, rows: int, seed: int = 7
) -> tuple[pa.LargeStringArray, npt.NDArray[np.int64], list[str]]:
    """Lines of all templates of some styles, the number of the template of each, and the templates."""
    random = np.random.default_rng(seed)
    pools = _pools()
    templates = [f"{style}: {text}" for style, texts in styles.items() for text in texts]
    share = random.permutation(1.0 / np.arange(2, len(templates) + 2))
    which = random.choice(len(templates), rows, p=share / share.sum())
    order = np.argsort(which, kind="stable")
    filled = [
        _filled(templates[k].partition(": ")[2], count, pools, random)
        for k, count in enumerate(np.bincount(which, minlength=len(templates)).tolist())
    ]
    place = np.empty(rows, np.int64)
    place[order] = np.arange(rows)
    return pa.concat_arrays(filled).take(pa.array(place)), which, templates


@cache
def _pools() -> dict[str, pa.Array]:
    """The values that placeholders take."""
    random = np.random.default_rng(20261123)
    return {name: pa.array([fill(random) for _ in range(_POOL)]) for name, fill in FILLERS.items()}


def _filled(template: str, count: int, pools: dict[str, pa.Array], random: Random) -> pa.LargeStringArray:
    """A template filled so many times."""
    pieces: list[pa.Array | pa.Scalar] = []
    for k, piece in enumerate(template.replace("}", "{").split("{")):
        if k % 2:
            chosen = pools[piece].take(pa.array(random.integers(0, _POOL, count)))
            pieces.append(chosen.cast(pa.large_string()))
        else:
            pieces.append(pa.scalar(piece, pa.large_string()))
    blank = pa.array([""], pa.large_string()).take(pa.array(np.zeros(count, np.int64)))
    return pc.binary_join_element_wise(blank, *pieces, pa.scalar("", pa.large_string()))
