"""The one place where rules and data meet: a frame of assets in, a frame of findings out, one chunk at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from policy_engine.annotations import Annotator
from policy_engine.core.frames import categorical, codes_of, instants_of, integers, utc_times
from policy_engine.core.periods import NAT
from policy_engine.core.rule_model import RulePack
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
    judge,
    read_creation,
)
from policy_engine.engine.question import Question, make_question

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]

_REASON_BIT = {code: 1 << position for position, code in enumerate(REASONS)}
_FACT_REASON = {fact: f"{fact}_unknown" for fact in FACTS if fact != "service"}
_UNDETERMINED = VERDICTS.index(Verdict.UNDETERMINED)
_WINDOW_NONE = OPERATION_VERDICTS.index(OperationVerdict.NONE)
_WINDOW_UNDETERMINED = OPERATION_VERDICTS.index(OperationVerdict.UNDETERMINED)


@dataclass(frozen=True)
class RowQuestions:
    """A question for each row of a frame, where the rows are asked about at instants of their own (n elements)."""

    as_of: Int64
    """As in Question, ns."""
    horizon: Int64
    """As in Question, ns."""
    operation_horizon: Int64
    """As in Question, ns."""


class Evaluator:
    """Judges chunks of assets by one pack; holds the decision table and nothing of the data."""

    def __init__(self, pack: RulePack, question: Question, known_on: date | None = None) -> None:
        """Prepare the pack's decision table once for all chunks."""
        self.pack = pack
        self.question = question
        self.table = DecisionTable(pack, known_on)
        self._owners = HostOwners(pack.host_owners)
        self._declared = {service for entry in pack.no_published_rule for service in entry.services}
        # Values that no rule names are alike to the rules; folding them keeps the number of profiles small even
        # when a field carries free text.
        self._named: dict[str, set[str]] = {fact: set() for fact in FACTS}
        for ref in self.table.versions:
            for fact, values in ref.version.selector.conditions.items():
                self._named[fact] |= values
        self._rule_ids = [ref.rule_id for ref in self.table.versions]
        self._bases = [ref.basis for ref in self.table.versions]
        self._numbers = np.array([ref.number for ref in self.table.versions] or [0], np.int64)

    def judge_chunk(self, frame: pd.DataFrame, questions: RowQuestions | None = None) -> pd.DataFrame:
        """
        Judge assets, one row each; returns findings with the columns FINDING_COLUMNS, same index and order.

        Facts are text (`watermarked`: `true` or `false`), missing = unknown; `created_at`, `completed_at` and
        `completion_bound` are zone-aware times or RFC 3339 text. Only `service` is required. Pure.
        `questions` asks each row a question of its own instead of the evaluator's.
        """
        asked: Question | RowQuestions = self.question if questions is None else questions
        if "service" not in frame.columns:
            raise ValueError("the frame has no column `service`; it needs one row per asset with at least the service")
        rows = len(frame)
        profile, known, per_profile = self._profiles(frame)
        readings = read_creation(
            instants_of(frame, "created_at"),
            instants_of(frame, "completed_at"),
            instants_of(frame, "completion_bound"),
            self.pack.longest_task,
        )
        cuts, table, always, cells = self.table.arrays()
        judged = judge(
            profile,
            readings,
            cuts,
            table,
            always,
            cells,
            as_of=asked.as_of,
            horizon=asked.horizon,
            operation_horizon=asked.operation_horizon,
        )
        verdict = np.where(known, judged.verdict, np.int8(_UNDETERMINED))
        window = np.where(known, judged.window_verdict, np.int8(_WINDOW_UNDETERMINED))
        has_windows = per_profile.has_operations[profile]
        window = np.where(known & ~has_windows, np.int8(_WINDOW_NONE), window)
        reasons = self._reasons(frame, known, verdict, judged, readings, per_profile.declared[profile])
        rule = np.where(known, judged.rule, NO_RULE)
        window_rule = np.where(known & has_windows, judged.window_rule, NO_RULE)
        out: dict[str, Any] = {name: frame[name] for name in FINDING_COLUMNS if name in frame.columns}
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
        out["storage"] = categorical(storage, [str(place) for place in StorageLocation])
        out["expires_earliest"] = utc_times(np.where(known, judged.expires_earliest, NAT))
        out["expires_latest"] = utc_times(np.where(known, judged.expires_latest, NAT))
        out["seconds_left"] = integers(judged.seconds_left, ~known | (judged.seconds_left == NAT))
        out["operations"] = self._operations(profile, known & has_windows, judged, per_profile)
        out["operation_verdict"] = categorical(window, [str(word) for word in OPERATION_VERDICTS])
        out["operation_rule_id"], out["operation_rule_version"] = self._rule_columns(window_rule)
        out["operation_closes_earliest"] = utc_times(np.where(known & has_windows, judged.window_earliest, NAT))
        out["operation_closes_latest"] = utc_times(np.where(known & has_windows, judged.window_latest, NAT))
        self._add_link_columns(out, frame)
        out["evidence"] = self._evidence(out, frame, storage)
        missing = _missing_columns(frame.index, [name for name in FINDING_COLUMNS if name not in out])
        columns = {name: out[name] if name in out else missing[name] for name in FINDING_COLUMNS}
        return pd.DataFrame(columns, index=frame.index, copy=False)

    def _profiles(self, frame: pd.DataFrame) -> tuple[Places, Bool, _PerProfile]:
        """Row of the decision table per asset, whether the service is known, and per-profile facts."""
        rows = len(frame)
        mixed = np.zeros(rows, np.int64)
        domains: list[list[str | None]] = []
        for fact in FACTS:
            codes, values = codes_of(frame.get(fact), rows)
            keep = self.table.services.keys() if fact == "service" else self._named[fact]
            folded: list[str | None] = [None]
            positions: dict[str | None, int] = {None: 0}
            lookup = np.zeros(len(values) + 1, np.int64)
            for position, value in enumerate(values):
                # A value that no rule names stands for itself under one common name; "" is unknown.
                name = None if value == "" else value if value in keep else (None if fact == "service" else "\0unnamed")
                if name not in positions:
                    positions[name] = len(folded)
                    folded.append(name)
                lookup[position] = positions[name]
            mixed *= len(folded)
            mixed += lookup[codes]
            domains.append(folded)
        size = int(np.prod([len(domain) for domain in domains], dtype=object))
        if size <= 4_000_000:
            present = np.flatnonzero(np.bincount(mixed, minlength=size))
            inverse = np.zeros(size, np.intp)
            inverse[present] = np.arange(len(present))
            compact = inverse[mixed]
        else:
            present, wide = np.unique(mixed, return_inverse=True)
            compact = wide.astype(np.intp)
        profiles = [_unmix(int(code), domains) for code in present]
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
        return ids[compact], is_known[compact], per

    def _reasons(
        self,
        frame: pd.DataFrame,
        known: Bool,
        verdict: npt.NDArray[np.int8],
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

    def _operations(self, profile: Places, shown: Bool, judged: Judgement, per: _PerProfile) -> Any:
        """Names of the operations a window was found for; all of the service's where none was."""
        words: dict[str, int] = {}
        codes = np.full(len(profile), -1, np.int32)
        width = len(per.service)
        # Few distinct pairs of service and operations exist, so names are made per pair.
        which, distinct_bits = pd.factorize(judged.operations)
        pairs, distinct = pd.factorize(profile[shown] + which[shown] * width)
        lookup = np.empty(len(distinct), np.int32)
        for place, pair in enumerate(distinct.tolist()):
            names = self.table.services[per.service[pair % width]].operations
            mask = int(distinct_bits[pair // width])
            text = ";".join(name for bit, name in enumerate(names) if not mask or mask >> bit & 1)
            lookup[place] = words.setdefault(text, len(words))
        codes[shown] = lookup[pairs]
        return categorical(codes, list(words))

    def _add_link_columns(self, out: dict[str, Any], frame: pd.DataFrame) -> None:
        """Host, its owner and the link's own expiry, where the frame brings a URL but not these."""
        if "url" not in frame.columns:
            return
        if {"url_host", "host_owner", "link_expires_at"} <= out.keys():
            return
        urls = [url if isinstance(url, str) and is_url(url) else None for url in frame["url"].tolist()]
        places, owned = self._owners.of_urls(urls)
        sites = [(None, None) if place < 0 else owned[place] for place in places]
        if "url_host" not in out:
            out["url_host"] = pd.Series([host for host, _ in sites], index=frame.index, dtype="str")
        if "host_owner" not in out:
            out["host_owner"] = pd.Series([owner for _, owner in sites], index=frame.index, dtype="str")
        if "link_expires_at" not in out:
            ends = [link_expiry(url) if url is not None and "?" in url else None for url in urls]
            out["link_expires_at"] = utc_times(np.array([NAT if end is None else end for end in ends], np.int64))

    def _evidence(self, out: dict[str, Any], frame: pd.DataFrame, storage: npt.NDArray[np.int8]) -> Any:
        """Whether the host's owner fits the storage the rule says (1 = vendor CDN, 0 = platform, -1 = not said)."""
        words = [str(word) for word in Evidence]
        codes = np.full(len(frame), words.index(Evidence.NONE), np.int8)
        if "host_owner" in out:
            owner_codes, owners = codes_of(pd.Series(out["host_owner"], index=frame.index), len(frame))
            place = np.array([0 if owner == self.pack.platform_owner else 1 for owner in owners] + [-1], np.int8)
            place[: len(owners)][[owner == "" for owner in owners]] = -1
            held = place[owner_codes]
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
    - `task_type`, `account`, `media`, `role`: text, in the words of the catalog.
    - `watermarked`: boolean, or `true` and `false` as text.
    - `created_at`, `completed_at`: when the task was submitted and finished, zone-aware times or RFC 3339 text.
    - `completion_bound`: an instant at which the task was surely finished, for rows without `completed_at`.
    - `url`: address of the file; gives `url_host`, `host_owner`, `evidence` and `link_expires_at`.
    - `expected`: boolean; true for a file that was never seen in an export and is expected to exist.
    - `facts_conflict`: boolean; true where the records disagree about the file.

    Other columns of the findings pass through; any other column is dropped.
    `as_of`: the instant asked about, as a zone-aware time, RFC 3339 text or nanoseconds since 1970.
    `horizon`, `operation_horizon`: ISO 8601 text (`P1D`, `PT1H`) or nanoseconds; None means the pack's.
    `known_on`: use only the rule versions that were recorded on or before this day; None means all.

    The result has the columns of findings.csv (docs/findings.md), with times in UTC as nanoseconds.
    Raises ValueError for a missing `service` column, naive times, unreadable text and horizons below 0.
    """
    findings = Evaluator(pack, make_question(pack, as_of, horizon, operation_horizon), known_on).judge_chunk(frame)
    return Annotator().mark(findings)[0]


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


def _storage(kinds: Int32, known: Bool) -> npt.NDArray[np.int8]:
    places = kinds & (ON_PLATFORM | ON_VENDOR_CDN)
    certain = known & ((kinds & NONE) == 0)
    out = np.full(len(kinds), -1, np.int8)
    out[certain & (places == ON_PLATFORM)] = 0
    out[certain & (places == ON_VENDOR_CDN)] = 1
    return out
