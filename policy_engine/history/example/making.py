"""Makes up one task after another: its kind, times, status and price, and its record as a line of JSON."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from hashlib import shake_256
from operator import itemgetter
from typing import NamedTuple

from policy_engine.core.periods import DAY, HOUR, MINUTE, SECOND, format_instant
from policy_engine.history.example.services import KINDS, Json, Kind

ZERO_TIME = "0001-01-01T00:00:00Z"
"""What PiAPI writes for "not yet"."""

_PROMPTS = 512
_WORDS = """
amber ancient autumn balcony blue bridge bright candle cat city cliffs clouds copper courtyard dancing dawn
desert distant dog dragon drifting dusk engine evening fern field flute fog forest fox garden glass golden
grain harbour hills ice island ivory jade kite lamp lantern lighthouse maple market mist moon mountain neon ocean old
orchard owl paper piano quiet rain red river robot rooftop ruins sail silver slow snow soft spring stone storm
street summer temple tide train valley velvet violet walking warm watercolour whale wide willow wind winter
""".split()
_ENDINGS = (
    'in "macro"',
    "at the café “Lune”",
    "日本庭園",
    "город зимой",
    "50% fog",
    "a\nb\tc \\ d",
    "🌊",
    "<no text>",
)
"""How now and then a prompt ends: what has to be escaped, and what is not ASCII."""
_RATIOS = ("16:9", "1:1", "9:16", "4:3", "3:4", "21:9", "1:1", "16:9")
_ERRORS = (
    '{"code":10000,"raw_message":"no credit left","message":"no credit left","detail":null}',
    '{"code":10000,"raw_message":"task timed out","message":"the task took too long","detail":null}',
    '{"code":10000,"raw_message":"","message":"the input was refused","detail":{"field":"prompt"}}',
    '{"code":10000,"raw_message":"","message":"the service is busy, try again later","detail":null}',
)
_NO_ERROR: dict[str, Json] = {"code": 0, "raw_message": "", "message": "", "detail": None}

_DONE = ("completed", "Completed")
_STARTED = (*_DONE, "processing", "failed")
_OUTCOMES = (("completed", 108), ("Completed", 6), ("failed", 6), ("processing", 4), ("pending", 3), ("", 1))
_STATUSES = tuple(status for status, share in _OUTCOMES for _ in range(share))
_MIDJOURNEY_STATUSES = ("staged",) * 3 + _STATUSES[3:]
"""128 outcomes, all equally likely. Only Midjourney has a queue beyond the concurrency limit."""

HELD = ("point", "luma_quota")
"""Units with an amount that is held while the task runs and charged at its end; others are charged at once."""

_BURST = 2 * MINUTE
_SHARES = ((4 * DAY, 32), (3 * DAY + _BURST, 6), (3 * DAY, 4), (4 * HOUR, 14), (0, 8))
"""How many 64ths of the tasks are created up to which distance from the end: half of them in the last four days,
many in the last hours, where windows close, and a burst just over three days back: counted from submission those
files are past their deadline, counted from completion not all of them."""

_NOISE = struct.Struct("<6I")
"""The numbers that chance gives to one task: six of 32 bits."""


class Task(NamedTuple):
    """One made-up task. Templates name its fields as `<field>`."""

    number: int
    """Counts from 0."""
    stock: Stock
    """Its kind."""
    state: str
    """`completed`, `failed` or `unfinished`."""
    created_instant: int
    """In nanoseconds since 1970."""
    updated_instant: int
    """When the last thing happened to it that is known."""
    chance: int
    """32 random bits for the writer of the record."""
    id: str
    a: str
    """Name of a file, like the next two."""
    b: str
    c: str
    parent: str
    """Id of the task that it continues."""
    parent_file: str
    """First file of the task that it continues."""
    prompt: str
    ratio: str
    pick: int
    """1 to 4."""
    digits: int
    """Fifteen of them."""
    link_start: int
    """When a signed link starts to be good, in unix seconds."""
    link_end: int
    """When it ceases to be."""
    status: str
    created: str
    started: str
    ended: str
    unit: str
    frozen: int
    consume: int
    error: str

    def record(self) -> str:
        """Write the task as a unified task object."""
        if self.state == "completed":
            text, values = self.stock.completed[self.pick % len(self.stock.completed)]
        else:
            text, values = self.stock.failed if self.state == "failed" else self.stock.unfinished
        return text % values(self)

    def at_creation(self) -> Task:
        """Give the task as it was when it had just been asked for."""
        price = max(self.frozen, self.consume)
        frozen, consume = (price, 0) if self.unit in HELD else (0, price)
        return self._replace(
            state="unfinished", updated_instant=self.created_instant, status="pending", started=ZERO_TIME,
            ended=ZERO_TIME, frozen=frozen, consume=consume,
        )  # fmt: skip


class Template(NamedTuple):
    """A record of one kind of task without its values."""

    text: str
    """With a `%` form for each value."""
    values: Callable[[Task], tuple[object, ...]]
    """Takes the values out of a task, in the order of the text."""


class Stock(NamedTuple):
    """A kind of task with its templates."""

    kind: Kind
    statuses: tuple[str, ...]
    completed: tuple[Template, ...]
    failed: Template
    unfinished: Template


def make_tasks(tasks: int, seed: int, until: int, days: int) -> Iterator[Task]:
    """Make up tasks created in the `days` before `until`, about in that order, and as they were known at `until`."""
    deck, founders = _deck()
    prompts = _prompts(seed)
    begin = until - days * DAY
    slots = _slots(tasks, begin, until)
    latest: dict[str, tuple[str, str, int]] = {}  # by family, its last completed task: id, first file, end
    number = -1
    for block in range(-(-tasks // len(deck))):
        for place, id, a, b, c, noise, slot in zip(*_deal(seed, block, len(deck)), slots, strict=False):
            number += 1
            when, length, words, bits, spare, chance = noise
            stock = deck[place]
            if stock.kind.continues and stock.kind.continues not in latest:
                stock = founders[stock.kind.continues]
            kind = stock.kind

            parent = parent_file = ""
            if kind.continues:
                parent, parent_file, parent_end = latest[kind.continues]
                wait = 5 * SECOND + (70 * MINUTE * when >> 32)
                created = parent_end + min(wait, (until - parent_end) // 2)
            else:
                created = slot[0] + (slot[1] * when >> 32)
            shortest, longest = kind.seconds
            started = created + 300_000_000 + (4 * SECOND * spare >> 32)
            ended = started + shortest * SECOND + ((longest - shortest) * SECOND * length >> 32)
            # A few records carry whole seconds only, a few another zone.
            style = bits >> 7 & 31
            zone = 8 if style == 1 else 0
            if style == 0 and created >= begin + SECOND:
                created -= created % SECOND
                started -= started % SECOND
                ended -= ended % SECOND

            # INVARIANT: no record knows more than was known at `until`.
            status = stock.statuses[bits & 127]
            if ended >= until and status in _STARTED:
                status = "processing" if started < until else "pending"
            price = kind.points[chance % len(kind.points)]
            course = _course(kind, status, created, started, ended, zone, price, bits >> 12)
            if course[0] == "completed" and kind.parents:
                latest[kind.parents] = id, a, ended
            state, updated, start_text, end_text, unit, frozen, consume, error = course
            link_start = ended // SECOND
            yield Task(
                number, stock, state, created, updated, chance, id, a, b, c, parent, parent_file,
                prompts[words % _PROMPTS], _RATIOS[words >> 9 & 7], (words >> 12 & 3) + 1,
                100_000_000_000_000 + (spare << 16 | words >> 16), link_start, link_start + 86_400,
                status, time_text(created, zone), start_text, end_text, unit, frozen, consume, error,
            )  # fmt: skip


def _course(
    kind: Kind, status: str, created: int, started: int, ended: int, zone: int, price: int, bits: int
) -> tuple[str, int, str, str, str, int, int, str]:
    """Give what follows from a status: state, last update, start and end as text, unit, frozen, consumed, error."""
    held = kind.unit in HELD
    if status in _DONE:
        # A few were read before their end was written down.
        end_text = time_text(ended, zone) if bits >> 1 & 127 else ""
        frozen = price if held and bits & 1 else 0
        return "completed", ended, time_text(started, zone), end_text, kind.unit, frozen, price, ""
    frozen = price if held else 0
    if status == "failed":
        unit = kind.unit if bits & 1 else ""
        start_text, end_text, error = time_text(started, zone), time_text(ended, zone), _ERRORS[bits >> 1 & 3]
        return "failed", ended, start_text, end_text, unit, frozen, 0, error
    consume = 0 if held else price
    if status == "processing":
        return "unfinished", started, time_text(started, zone), ZERO_TIME, kind.unit, frozen, consume, ""
    return "unfinished", created, ZERO_TIME, ZERO_TIME, kind.unit, frozen, consume, ""


def _slots(tasks: int, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Give each task a stretch of time to be created in, as start and length: in order, even within a share."""
    given = total = 0
    start = begin
    for distance, share in _SHARES if end - begin > 4 * DAY else ((0, 64),):
        stop = end - distance
        total += share
        count = tasks * total // 64 - given
        for place in range(count):
            yield start + (stop - start) * place // count, (stop - start) // count
        given += count
        start = stop


Deal = tuple[list[int], list[str], list[str], list[str], list[str], Iterator[tuple[int, ...]]]
"""For each card its place in the deck, four names and the numbers of `_NOISE`."""


def _deal(seed: int, block: int, cards: int) -> Deal:
    """Shuffle the deck and draw what chance gives to each card; SHAKE-256 gives the same bits everywhere, always."""
    noise = shake_256(f"{seed} {block}".encode()).digest((4 + 4 * 16 + _NOISE.size) * cards)
    keys, names, rest = noise[: 4 * cards], noise[4 * cards : 68 * cards], noise[68 * cards :]
    order = sorted(range(cards), key=struct.unpack(f"<{cards}I", keys).__getitem__)
    uuids = _uuids(names)
    return order, uuids[0::4], uuids[1::4], uuids[2::4], uuids[3::4], _NOISE.iter_unpack(rest)


_FORM = b"........-....-4...-a...-............ "


def _uuids(noise: bytes) -> list[str]:
    """Write every 16 bytes as a random UUID; column by column, since one by one takes five times as long."""
    digits = noise.hex().encode()
    text = bytearray(_FORM * (len(noise) // 16))
    free = [column for column, sign in enumerate(_FORM) if sign == ord(".")]
    for place, column in enumerate(free):
        text[column :: len(_FORM)] = digits[place::32]
    return text.decode().split()


def _prompts(seed: int) -> list[str]:
    """Make up prompts of 4 to 13 words, ready to go between the quotes of a JSON string."""
    noise = shake_256(f"{seed} prompts".encode()).digest(15 * _PROMPTS)
    prompts = []
    for place in range(0, len(noise), 15):
        length, ending, *words = noise[place : place + 15]
        text = " ".join(_WORDS[word % len(_WORDS)] for word in words[: 4 + length % 10])
        if ending < 16:
            text += " " + _ENDINGS[ending % len(_ENDINGS)]
        prompts.append(json.dumps(text, ensure_ascii=False)[1:-1])
    return prompts


_CLOCK = tuple(f"T{minute // 60:02d}:{minute % 60:02d}:" for minute in range(24 * 60))
_SECONDS = tuple(f"{second:02d}" for second in range(60))


def time_text(instant: int, zone: int = 0) -> str:
    """Write an instant as Go's RFC3339Nano does, in a zone given in hours; twice as fast as `format_instant`."""
    seconds, fraction = divmod(instant, SECOND)
    day, clock = divmod(seconds + 3600 * zone, 86_400)
    text = _day(day) + _CLOCK[clock // 60] + _SECONDS[clock % 60]
    if fraction:
        text += f".{fraction:09d}".rstrip("0")
    return text + "+08:00" if zone else text + "Z"


@lru_cache(maxsize=64)
def _day(day: int) -> str:
    """Write the part of a time that the instants of a day share."""
    return format_instant(day * DAY)[:10]


@cache
def _deck() -> tuple[tuple[Stock, ...], dict[str, Stock]]:
    """Give a stock for each card of the deck, and of each family the stock that founds it."""
    stocks = [
        Stock(
            kind,
            _MIDJOURNEY_STATUSES if kind.service == "midjourney" else _STATUSES,
            tuple(_template(kind, output, _NO_ERROR) for output in kind.outputs),
            _template(kind, kind.waiting, "<error>"),
            _template(kind, kind.waiting, _NO_ERROR),
        )
        for kind in KINDS
    ]
    deck = tuple(stock for stock in stocks for _ in range(stock.kind.cards))
    return deck, {stock.kind.parents: stock for stock in stocks if stock.kind.parents}


_FORMS = {
    "link_start_hex": ("link_start", "%x"),
    "link_end_hex": ("link_end", "%x"),
    "signature": ("digits", "%xc0ffee0ddba11"),
}
"""Markers that write a field in another way."""
_BARE = ("frozen", "consume", "error")
"""Markers whose values are JSON themselves: the quotes around them go."""


def _template(kind: Kind, output: Json, error: Json) -> Template:
    """Write a kind of task as a unified task object, and note where its values go."""
    webhook: dict[str, Json] = {"endpoint": "", "secret": ""}
    if kind.webhook:
        webhook = {"endpoint": "https://hooks.example.com/renders", "secret": "made-up-and-not-a-secret"}
    meta: dict[str, Json] = {
        "created_at": "<created>",
        "started_at": "<started>",
        "ended_at": "<ended>",
        "usage": {"type": "<unit>", "frozen": "<frozen>", "consume": "<consume>"},
    }
    if kind.private_pool is not None:
        meta["is_using_private_pool"] = kind.private_pool
    record: dict[str, Json] = {
        "task_id": "<id>",
        "model": kind.model,
        "task_type": kind.task_type,
        "status": "<status>",
        "config": {"service_mode": kind.service_mode, "webhook_config": webhook},
        "input": kind.input,
        "output": output,
        "meta": meta | dict(kind.meta),
        "detail": None,
        "logs": kind.logs,
        "error": error,
    }
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")).replace("%", "%%")
    for name in _BARE:
        text = text.replace(f'"<{name}>"', f"<{name}>")
    fields: list[int] = []

    def form(marker: re.Match[str]) -> str:
        field, form = _FORMS.get(marker[1], (marker[1], "%s"))
        fields.append(Task._fields.index(field))
        return form

    text = re.sub(r"<(\w+)>", form, text)
    return Template(text, itemgetter(*fields))
