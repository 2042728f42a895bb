"""Where rules and data meet: a frame of assets in, a frame of findings out, a chunk at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from policy_engine.core.fact_domain import ANY_OTHER, FactReader
from policy_engine.core.frames import (
    Bool,
    Int8,
    Int32,
    Int64,
    Positions,
    categorical,
    category_of,
    codes_of,
    earliest_of,
    instants_of,
    integers,
    nanoseconds,
    utc_times,
)
from policy_engine.core.periods import NAT
from policy_engine.core.rule_model import RulePack
from policy_engine.core.safe_text import plain
from policy_engine.core.urls.addresses import HostOwners, is_url, link_expiry
from policy_engine.core.vocabulary import (
    FACTS,
    FINDING_COLUMNS,
    OPERATION_VERDICTS,
    REASONS,
    TIME_COLUMNS,
    VERDICTS,
    Evidence,
    OperationVerdict,
    StorageLocation,
    Verdict,
    fold,
)
from policy_engine.engine.decision_table import DecisionTable, Profile
from policy_engine.engine.kernel import (
    DATED,
    NO_RULE,
    NONE,
    ON_PLATFORM,
    ON_VENDOR_CDN,
    WINDOW_DATED,
    Judgement,
    Readings,
    Rows,
    judge,
    read_creation,
)
from policy_engine.engine.question import Question, RowQuestions, make_question
from policy_engine.packs.catalog import did_you_mean

_REASON_BIT = {code: 1 << position for position, code in enumerate(REASONS)}
_FACT_REASON = {fact: f"{fact}_unknown" for fact in FACTS if fact != "service"}
_UNDETERMINED = VERDICTS.index(Verdict.UNDETERMINED)
_WINDOW_NONE = OPERATION_VERDICTS.index(OperationVerdict.NONE)
_WINDOW_UNDETERMINED = OPERATION_VERDICTS.index(OperationVerdict.UNDETERMINED)


class Evaluator:
    """Judges chunks of assets by one pack; holds the decision table and no data."""

    def __init__(self, pack: RulePack, question: Question, known_on: date | None = None) -> None:
        """Prepare the pack's decision table once for all chunks."""
        self.pack = pack
        self.question = question
        self.table = DecisionTable(pack, known_on)
        self._owners = HostOwners(pack.host_owners)
        self._declared = {service for entry in pack.no_published_rule for service in entry.services}
        self._reader = FactReader(pack.catalog)
        self._profiles: dict[Profile, Profile] = {}
        # Task types that no rule names are alike to the rules; folding them keeps the number of profiles small even
        # when the field carries free text.
        self._named_types = {
            fold(value) for ref in self.table.versions for value in ref.version.selector.conditions.get("task_type", ())
        }
        self._rule_ids = [ref.rule_id for ref in self.table.versions]
        self._bases = [ref.basis for ref in self.table.versions]
        self._numbers = np.array([ref.number for ref in self.table.versions] or [0], np.int64)

    def judge_chunk(self, frame: pd.DataFrame, questions: RowQuestions | None = None) -> pd.DataFrame:
        """
        Judge assets, one row each; returns findings with the columns FINDING_COLUMNS, same index and order.

        Facts are in any spelling; missing, or what a fact cannot be = unknown. `created_at`, `completed_at` and
        `completion_bound` are zone-aware times or RFC 3339 text. Only `service` is required. Pure.
        `questions` asks each row a question of its own instead of the evaluator's.
        """
        return self._judge(frame, self._bind(frame), self.question if questions is None else questions)

    def judge_stated(self, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
        """As `judge_chunk`, and a sentence about each fact for which rows state what it cannot be."""
        bound = self._bind(frame)
        problems = tuple(self._outside(frame, fact, rows) for fact, rows in bound.outside.items())
        return self._judge(frame, bound, self.question), problems

    def _outside(self, frame: pd.DataFrame, fact: str, rows: Bool) -> str:
        first = int(np.flatnonzero(rows)[0])
        value, service = frame[fact].iloc[first], self._reader.read("service", frame["service"].iloc[first])
        about = f" of `{service}`" if service and fact == "role" else ""
        what = "services" if fact == "service" else f"values of {fact}"
        help_text = did_you_mean(str(value), self._reader.listed(fact, service or None), what)
        return (
            f"`{fact}` is unknown in {int(rows.sum()):,} of {len(frame):,} rows, since it cannot be what they state; "
            f"the first is row {first}, with `{plain(value, 60)}`{about}; {help_text}"
        )

    def _judge(self, frame: pd.DataFrame, bound: _BoundRows, asked: Question | RowQuestions) -> pd.DataFrame:
        rows = len(frame)
        profile, known, per_profile = bound.profile, bound.known, bound.per_profile
        readings = read_creation(
            instants_of(frame, "created_at"),
            instants_of(frame, "completed_at"),
            instants_of(frame, "completion_bound"),
            self.pack.longest_task,
        )
        judged = judge(Rows(profile, readings), self.table.arrays(), asked)
        verdict = np.where(known, judged.verdict, np.int8(_UNDETERMINED))
        window = np.where(known, judged.window_verdict, np.int8(_WINDOW_UNDETERMINED))
        has_windows = per_profile.has_operations[profile]
        window = np.where(known & ~has_windows, np.int8(_WINDOW_NONE), window)
        reasons = self._reasons(frame, known, verdict, judged, readings, per_profile.declared[profile])
        rule = np.where(known, judged.rule, NO_RULE)
        window_rule = np.where(known & has_windows, judged.window_rule, NO_RULE)
        out: dict[str, Any] = {name: frame[name] for name in FINDING_COLUMNS if name in frame.columns}
        out |= bound.facts
        for name in ("created_at", "completed_at"):
            if name in frame.columns:
                out[name] = utc_times(instants_of(frame, name))
        out["as_of"] = utc_times(np.full(rows, asked.as_of, np.int64))
        out["verdict"] = categorical(verdict, [str(word) for word in VERDICTS])
        out["possibly_past"] = judged.possibly_past & known
        out["reason"] = _joined(reasons)
        out["rule_id"], out["rule_version"] = self._rule_columns(rule)
        out["basis"] = _named_codes(rule, self._bases)
        storage = _storage(judged.kinds, known)
        out["storage"] = categorical(storage, [str(location) for location in StorageLocation])
        expires_earliest = np.where(known, judged.expires_earliest, NAT)
        out["expires_earliest"] = utc_times(expires_earliest)
        out["expires_latest"] = utc_times(np.where(known, judged.expires_latest, NAT))
        out["seconds_left"] = integers(judged.seconds_left, ~known | (judged.seconds_left == NAT))
        out["operations"] = self._operations(profile, known & has_windows, judged, per_profile)
        out["operation_verdict"] = categorical(window, [str(word) for word in OPERATION_VERDICTS])
        out["operation_rule_id"], out["operation_rule_version"] = self._rule_columns(window_rule)
        out["operation_closes_earliest"] = utc_times(np.where(known & has_windows, judged.window_earliest, NAT))
        out["operation_closes_latest"] = utc_times(np.where(known & has_windows, judged.window_latest, NAT))
        self._add_link_columns(out, frame)
        out["save_by"] = utc_times(_save_by(expires_earliest, out.get("link_expires_at")))
        out["evidence"] = self._evidence(out, frame, storage)
        missing = _missing_columns(frame.index, [name for name in FINDING_COLUMNS if name not in out])
        columns = {name: out[name] if name in out else missing[name] for name in FINDING_COLUMNS}
        return pd.DataFrame(columns, index=frame.index, copy=False)

    def _bind(self, frame: pd.DataFrame) -> _BoundRows:
        """Which row of the decision table each asset asks, by its facts as their domains hold them."""
        if "service" not in frame.columns:
            raise ValueError("the frame has no column `service`; it needs one row per asset with at least the service")
        rows = len(frame)
        mixed = np.zeros(rows, np.int64)
        choices: list[list[str | None]] = []
        facts: dict[str, Any] = {}
        respelt: set[str] = set()
        for fact in FACTS:
            codes, words = codes_of(frame.get(fact), rows)
            values: dict[str | None, int] = {None: 0}
            lookup = np.zeros(len(words) + 1, np.int64)
            for code, word in enumerate(words):
                value = self._value_of(fact, word)
                if value != (word or None):
                    respelt.add(fact)
                lookup[code] = values.setdefault(value, len(values))
            mixed *= len(values)
            mixed += lookup[codes]
            choices.append(list(values))
            if fact == "service" and fact in respelt:
                # The catalog's spelling where it lists the service; otherwise the reason says that it does not.
                named = category_of([*(self._value_of(fact, word) or word for word in words), None], codes)
                facts[fact] = _like(frame[fact], named)
        present, compact = _distinct(mixed, [len(values) for values in choices])
        stated = [_unmix(int(code), choices) for code in present]
        profiles = list(map(self._placed, stated))
        ids = np.zeros(len(profiles), np.intp)
        is_known = np.array([profile[0] is not None for profile in profiles], bool)
        ids[is_known] = self.table.bind([profile for profile in profiles if profile[0] is not None])
        count = int(ids.max(initial=0)) + 1
        per = _PerProfile(np.zeros(count, bool), np.zeros(count, bool), [""] * count)
        for row, profile in zip(ids[is_known], (p for p in profiles if p[0] is not None), strict=True):
            service = self.table.services[profile[0] or ""]
            per.has_operations[row] = bool(service.operations)
            per.declared[row] = service.id in self._declared
            per.service[row] = service.id
        outside: dict[str, Bool] = {}
        for position, fact in enumerate(FACTS):
            known = [profile[position] for profile in profiles]
            given = [profile[position] for profile in stated]
            dropped = [value is None and word is not None for word, value in zip(given, known, strict=True)]
            if any(dropped):
                outside[fact] = np.array(dropped)[compact]
            if fact not in ("service", "task_type") and (fact in respelt or any(dropped)):
                facts[fact] = _like(frame[fact], category_of(known, compact))
        return _BoundRows(ids[compact], is_known[compact], per, facts, outside)

    def _value_of(self, fact: str, word: str) -> str | None:
        """The value that a word of a frame means; all task types that no rule names have the same value."""
        value = self._reader.read(fact, word)
        return ANY_OTHER if fact == "task_type" and value and fold(value) not in self._named_types else value

    def _placed(self, stated: Profile) -> Profile:
        """The facts of a file as those of its service; what they cannot be is unknown."""
        placed = self._profiles.get(stated)
        if placed is None:
            service = stated[0] or None
            facts = zip(FACTS[1:], stated[1:], strict=True)
            placed = (service, *(self._reader.read(fact, value, service) or None for fact, value in facts))
            self._profiles[stated] = placed
        return placed

    def _reasons(
        self,
        frame: pd.DataFrame,
        known: Bool,
        verdict: Int8,
        judged: Judgement,
        readings: Readings,
        declared: Bool,
    ) -> Int32:
        """Bits of the reason codes per row, in the order of columns.REASONS."""
        reasons = np.where(known, 0, _REASON_BIT["unknown_service"]).astype(np.int32)

        def mark(code: str, rows: Bool) -> None:
            reasons[known & rows] |= _REASON_BIT[code]

        ungoverned = verdict == VERDICTS.index(Verdict.UNGOVERNED)
        mark("no_published_rule", ungoverned & declared)
        mark("no_rule_in_force", ungoverned & ~declared)
        clock_matters = (judged.kinds & (DATED | WINDOW_DATED)) != 0
        mark("no_clock", readings.no_clock & clock_matters)
        mark("submission_unknown", readings.submission_unknown & clock_matters)
        mark("completion_unknown", readings.completion_unknown & clock_matters)
        mark("times_inverted", readings.inverted & clock_matters)
        mark("readings_differ", judged.readings_differ)
        for position, fact in enumerate(FACTS):
            if fact != "service":
                mark(_FACT_REASON[fact], (judged.matters & (1 << position)) != 0)
        if "facts_conflict" in frame.columns:
            reasons[frame["facts_conflict"].to_numpy(bool)] |= _REASON_BIT["facts_conflict"]
        return reasons

    def _rule_columns(self, rule: Int32) -> tuple[Any, Any]:
        missing = rule == NO_RULE
        numbers = self._numbers[np.where(missing, 0, rule)]
        return _named_codes(rule, self._rule_ids), integers(numbers, missing)

    def _operations(self, profile: Positions, shown: Bool, judged: Judgement, per: _PerProfile) -> Any:
        """Names of the operations a window was found for; all of the service's where none was."""
        words: dict[str, int] = {}
        codes = np.full(len(profile), -1, np.int32)
        width = len(per.service)
        # Few distinct pairs of service and operations exist, so names are made per pair.
        which, distinct_bits = pd.factorize(judged.operations)
        pairs, distinct = pd.factorize(profile[shown] + which[shown] * width)
        lookup = np.empty(len(distinct), np.int32)
        for position, pair in enumerate(distinct.tolist()):
            names = self.table.services[per.service[pair % width]].operations
            mask = int(distinct_bits[pair // width])
            text = ";".join(name for bit, name in enumerate(names) if not mask or mask >> bit & 1)
            lookup[position] = words.setdefault(text, len(words))
        codes[shown] = lookup[pairs]
        return categorical(codes, list(words))

    def _add_link_columns(self, out: dict[str, Any], frame: pd.DataFrame) -> None:
        """Host, its owner and the link's own expiry, where the frame brings a URL but not these."""
        if "url" not in frame.columns:
            return
        if {"url_host", "host_owner", "link_expires_at"} <= out.keys():
            return
        urls = [url if isinstance(url, str) and is_url(url) else None for url in frame["url"].tolist()]
        positions, owned = self._owners.of_urls(urls)
        sites = [(None, None) if position < 0 else owned[position] for position in positions]
        if "url_host" not in out:
            out["url_host"] = pd.Series([host for host, _ in sites], index=frame.index, dtype="str")
        if "host_owner" not in out:
            out["host_owner"] = pd.Series([owner for _, owner in sites], index=frame.index, dtype="str")
        if "link_expires_at" not in out:
            ends = [link_expiry(url) if url is not None and "?" in url else None for url in urls]
            out["link_expires_at"] = utc_times(np.array([NAT if end is None else end for end in ends], np.int64))

    def _evidence(self, out: dict[str, Any], frame: pd.DataFrame, storage: Int8) -> Any:
        """Whether the owner of the host agrees with the storage (1: vendor CDN, 0: platform, -1: unknown)."""
        words = [str(word) for word in Evidence]
        codes = np.full(len(frame), words.index(Evidence.NONE), np.int8)
        if "host_owner" in out:
            owner_codes, owners = codes_of(pd.Series(out["host_owner"], index=frame.index), len(frame))
            holders = np.array([0 if owner == self.pack.platform_owner else 1 for owner in owners] + [-1], np.int8)
            holders[: len(owners)][[owner == "" for owner in owners]] = -1
            held = holders[owner_codes]
            both = (held >= 0) & (storage >= 0)
            codes[both & (held == storage)] = words.index(Evidence.AGREES)
            codes[both & (held != storage)] = words.index(Evidence.CONFLICTS)
        if "expected" in frame.columns:
            codes[frame["expected"].to_numpy(bool)] = words.index(Evidence.EXPECTED)
        return categorical(codes, words)


@dataclass
class _PerProfile:
    has_operations: Bool
    declared: Bool
    service: list[str]


@dataclass(frozen=True)
class _BoundRows:
    """The rows of a frame as the decision table knows them."""

    profile: Positions
    """Row of the decision table; 0 where the service is not known."""
    known: Bool
    """Whether the service is known."""
    per_profile: _PerProfile
    facts: dict[str, Any]
    """Columns of facts that the frame spells in another way, or for which it states what they cannot be."""
    outside: dict[str, Bool]
    """Fact -> the rows that state what it cannot be; only facts with such rows."""


def evaluate(
    frame: pd.DataFrame,
    pack: RulePack,
    *,
    as_of: datetime | str | int,
    horizon: str | int | None = None,
    operation_horizon: str | int | None = None,
    known_on: date | None = None,
) -> pd.DataFrame:
    """
    Judge a frame of assets, one row each, at one instant; returns the findings with the same index and order.

    Columns of `frame`; only `service` is required, and a missing value is an unknown fact:

    - `service`: id of a service of the pack's catalog (`kling`, not the model name of an export).
    - `task_type`, `account`, `media`, `role`: text in the words of the catalog; case, blanks, `-` and `_` make no
      difference.
    - `watermarked`: boolean, 0 or 1, or such words as `true`, `FALSE` and `yes`.
    - `created_at`, `completed_at`: when the task was submitted and finished, zone-aware times or RFC 3339 text.
    - `completion_bound`: an instant at which the task was surely finished, for rows without `completed_at`.
    - `url`: address of the file; gives `url_host`, `host_owner`, `evidence` and `link_expires_at`.
    - `expected`: boolean; true for a file that was never seen in an export and is expected to exist.
    - `facts_conflict`: boolean; true where the records disagree about the file.

    Other columns of the findings pass through; any other column is dropped.
    `as_of`: the instant asked about, as a zone-aware time, RFC 3339 text or nanoseconds since 1970.
    `horizon`, `operation_horizon`: ISO 8601 text (`P1D`, `PT1H`) or nanoseconds; None means the pack's.
    `known_on`: use only the rule versions that were recorded on or before this day; None means all.

    A fact that cannot be what a row states, such as a role that no file of the service has, is unknown, and a
    UserWarning reports it.

    The result has the columns of findings.csv (docs/findings.md), with times in UTC as nanoseconds.
    Raises ValueError for a missing `service` column, naive times, unreadable text and horizons below 0.
    """
    question = make_question(pack, as_of, horizon, operation_horizon)
    findings, problems = Evaluator(pack, question, known_on).judge_stated(frame)
    for problem in problems:
        warnings.warn(problem, UserWarning, stacklevel=2)
    return findings


def _save_by(expires_earliest: Int64, link_expires_at: Any) -> Int64:
    """The provider's own deadline: that of the rule, or that of the link where it is earlier."""
    if link_expires_at is None:
        return earliest_of(expires_earliest)
    return earliest_of(expires_earliest, nanoseconds(pd.Series(link_expires_at)))


def _like(column: pd.Series[Any], values: Any) -> Any:
    """A categorical column of texts in the type of the column that it replaces, where that is a type for texts."""
    if pd.api.types.is_object_dtype(column.dtype):
        # Such a column has a missing value of its own kind, which a part of it would keep.
        texts = [value if isinstance(value, str) else None for value in values]
        return pd.Series(texts, index=column.index, dtype="object").where(column.notna(), column)
    if isinstance(column.dtype, pd.CategoricalDtype) or not pd.api.types.is_string_dtype(column.dtype):
        return values
    return pd.Series(values, index=column.index).astype(column.dtype)


def _distinct(mixed: Int64, sizes: Sequence[int]) -> tuple[Int64, Positions]:
    """The distinct numbers that occur, in order, and for each row the position of its own."""
    size = int(np.prod(sizes, dtype=object))
    if size > 4_000_000:
        present, positions = np.unique(mixed, return_inverse=True)
        return present, positions.astype(np.intp)
    present = np.flatnonzero(np.bincount(mixed, minlength=size))
    inverse = np.zeros(size, np.intp)
    inverse[present] = np.arange(len(present))
    return present, inverse[mixed]


def _unmix(code: int, domains: Sequence[Sequence[str | None]]) -> Profile:
    values: list[str | None] = []
    for domain in reversed(domains):
        code, position = divmod(code, len(domain))
        values.append(domain[position])
    return tuple(reversed(values))


def _missing_columns(index: pd.Index[Any], names: Sequence[str]) -> dict[str, pd.Series[Any]]:
    """Columns without a value, each of its type."""
    kinds: dict[str, Any] = {"points": "Int64", "cost_usd": "Float64"} | dict.fromkeys(
        TIME_COLUMNS, "datetime64[ns, UTC]"
    )
    asked = {name: kinds.get(name, "str") for name in names}
    # One for all of a type, since it takes as long as to judge.
    made = {
        kind: pd.Series(pd.NA if kind != "datetime64[ns, UTC]" else pd.NaT, index=index, dtype=kind)
        for kind in dict.fromkeys(asked.values())
    }
    return {name: made[kind] for name, kind in asked.items()}


def _named_codes(index: Int32, names: Sequence[str]) -> Any:
    """Version indices as a categorical of names (several versions may share one)."""
    words: dict[str, int] = {}
    lookup = np.array([*(words.setdefault(name, len(words)) for name in names), -1], np.int32)
    return categorical(lookup[np.where(index == NO_RULE, len(names), index)], list(words))


def _joined(reasons: Int32) -> Any:
    codes, distinct = pd.factorize(reasons)
    texts = [";".join(code for code, bit in _REASON_BIT.items() if mask & bit) for mask in distinct.tolist()]
    return categorical(codes, texts)


def _storage(kinds: Int32, known: Bool) -> Int8:
    storages = kinds & (ON_PLATFORM | ON_VENDOR_CDN)
    certain = known & ((kinds & NONE) == 0)
    out = np.full(len(kinds), -1, np.int8)
    out[certain & (storages == ON_PLATFORM)] = 0
    out[certain & (storages == ON_VENDOR_CDN)] = 1
    return out
