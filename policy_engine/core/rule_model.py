"""The rule side as frozen values: packs, rules and their versions, the catalog of services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from policy_engine.core.problems import SourceSpan
from policy_engine.core.vocabulary import StorageLocation


@dataclass(frozen=True)
class Citation:
    """Where a rule comes from."""

    source: str
    """Id of a source listed in `pack.yaml`."""
    section: str
    """Heading of the source, in the source's own order of headings."""
    retrieved_on: date
    """The day the source was read."""
    basis: str
    """`published`, `observed`, `assumed` or `internal`; only what the provider wrote is published."""


@dataclass(frozen=True)
class Selector:
    """Which assets a rule is about: every named fact must be one of its values; an absent fact means any."""

    conditions: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Fact name -> allowed values; `watermarked` uses the words `true` and `false`."""


@dataclass(frozen=True)
class OperationWindow:
    """For how long after creation follow-up operations are accepted."""

    operations: tuple[str, ...]
    """Names of operations, as in the catalog."""
    period: int
    """Length in nanoseconds."""


@dataclass(frozen=True)
class ExpectedCount:
    """How many assets are expected to go from one verdict to another."""

    assets: int
    tolerance: Decimal
    """How far off reality may be: percent of `assets`, or assets."""
    is_share: bool
    """True when the tolerance is in percent."""

    def fits(self, found: int) -> bool:
        """True when what was found lies within the tolerance, which is exact."""
        off = abs(found - self.assets)
        return off * 100 <= self.tolerance * self.assets if self.is_share else off <= self.tolerance


@dataclass(frozen=True)
class ExpectedImpact:
    """What a version is expected to do to a known history."""

    as_of: int
    """The instant it was measured for, ns."""
    history: str
    """The history it was measured on, in words; may be empty."""
    verdicts: Mapping[tuple[str, str], ExpectedCount]
    """(verdict before, verdict after) -> assets; any other change of a verdict is expected not to happen."""


@dataclass(frozen=True)
class RuleVersion:
    """One dated version of a rule; its end is derived from the versions after it, never written."""

    number: int
    """Counts from 1; versions are append-only."""
    effective_from: int | None
    """First creation instant it applies to, in nanoseconds; None = the source does not say."""
    recorded_on: date
    """The day we learned of it."""
    withdrawn: bool
    """True for the version that ends the rule; it then has no selector, storage or windows."""
    selector: Selector
    """Which assets it is about."""
    storage: StorageLocation | None
    """Who holds the file; None when this rule says nothing of storage."""
    retention: int | None
    """Retention period in nanoseconds; None for the vendor's terms, or when the version does not state storage."""
    operation_window: OperationWindow | None
    """Follow-up operations, or None."""
    citation: Citation | None
    """Source of the version; None only when withdrawn without one."""
    span: SourceSpan | None = None
    """Where the version starts in its file."""
    expected_impact: ExpectedImpact | None = field(default=None, compare=False)
    """What the author of the version expects it to do; not a part of the rule."""
    places: Mapping[str, SourceSpan] = field(default_factory=dict, repr=False, compare=False)
    """Key of the version (`retention`, `recorded_on`, ...) -> where it stands, for those that the file gives."""

    def place(self, key: str) -> SourceSpan | None:
        """Where a key of the version stands, or else where the version starts."""
        return self.places.get(key, self.span)


@dataclass(frozen=True)
class Rule:
    """A rule with all its versions, oldest number first."""

    id: str
    title: str
    summary: str
    versions: tuple[RuleVersion, ...]
    span: SourceSpan | None = None


@dataclass(frozen=True)
class OutputSpec:
    """One place in a task's output where a URL can be."""

    path: str
    """Dotted path below the output; `[]` is any list element, `{}` any key of a map; `` is the output itself."""
    kind: str
    """`file` makes an asset; `preview` and `echo` are counted only; `same_file` is another address of a file."""
    name: str
    """Output name of the asset (part of its id); for `same_file` the name of the file it repeats; else ``."""
    media: str | None
    """One of MEDIA, or None when the path does not tell."""
    role: str | None
    """Role of the file, for instance `main`; None when the path does not tell."""
    watermarked: bool | None
    """True or False when the path determines it, None when it does not."""


@dataclass(frozen=True)
class ExpectedOutputs:
    """The files that a completed task is expected to have left when no record carries its output."""

    task_types: tuple[str, ...] | None
    """Task types this is about; None = every type of the service not named by another entry."""
    names: tuple[str, ...]
    """Names of outputs of kind `file`; empty when such tasks leave no file."""


@dataclass(frozen=True)
class ModelName:
    """A model name in exports that means a service."""

    model: str
    """As exports spell it; compared without case."""
    task_types: tuple[str, ...] | None
    """For names shared by several services: the task types that mean this service; None = any."""


@dataclass(frozen=True)
class Service:
    """One service of the provider, as exports name and shape it."""

    id: str
    title: str
    names: tuple[ModelName, ...]
    task_types: tuple[str, ...]
    """Task types known for it (lower case, words joined by `-` or `_` count as equal)."""
    outputs: tuple[OutputSpec, ...]
    expected: tuple[ExpectedOutputs, ...]
    operations: tuple[str, ...]
    """Follow-up operations the service offers; empty when it has none."""
    parent_field: str | None
    """Field of `input` that names the parent task of a follow-up operation, or None."""
    span: SourceSpan | None = field(default=None, compare=False)
    """Where the service starts in `catalog.yaml`."""


@dataclass(frozen=True)
class Catalog:
    """All services of a provider, and how its exports spell states."""

    services: tuple[Service, ...]
    statuses: Mapping[str, str]
    """Casefolded status word -> completed, failed, cancelled, pending, processing or staged."""
    legacy_outputs: tuple[str, ...]
    """Top-level fields of legacy records that hold outputs (`clips`, `task_result`, ...)."""


@dataclass(frozen=True)
class Money:
    """How units of usage become money."""

    points_per_usd: int
    units: tuple[str, ...]
    """Usage types that are points with a dollar value."""
    basis: str
    evidence: str


@dataclass(frozen=True)
class Source:
    """A page that rules cite."""

    id: str
    title: str
    url: str
    retrieved_on: date
    span: SourceSpan | None = field(default=None, compare=False)
    """Where the source starts in `pack.yaml`."""


@dataclass(frozen=True)
class NoPublishedRule:
    """Services for which the provider publishes no rule, as the pack declares."""

    services: tuple[str, ...]
    reason: str
    citation: Citation


@dataclass(frozen=True)
class RulePack:
    """Everything that is needed to judge the exports of one provider."""

    id: str
    title: str
    publisher: str
    schema_version: int
    platform_owner: str
    """Host owner that stands for the platform itself."""
    horizon: int
    """How far ahead "at risk" looks, in nanoseconds."""
    operation_horizon: int
    """How far ahead "closing" looks, in nanoseconds."""
    longest_task: int
    """Assumed upper bound of one run, in nanoseconds."""
    longest_task_basis: str
    host_owners: Mapping[str, str]
    """Host, `*.suffix` or `host/path*` -> owner."""
    money: Money
    sources: tuple[Source, ...]
    no_published_rule: tuple[NoPublishedRule, ...]
    catalog: Catalog
    rules: tuple[Rule, ...]
    """Ordered by id."""
    digest: str
    """sha256 over the pack's files (names and bytes), hexadecimal."""
    location: str
    """Folder the pack was read from, as the user gave it, or `bundled`."""
    texts: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """File name -> text, for source frames in problems found later."""
