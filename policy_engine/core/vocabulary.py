"""The contracts of the tables: which columns there are, in which order, and the words they may hold."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What the rules say about an asset at `as_of`."""

    ACTIVE = "active"
    AT_RISK = "at_risk"
    EXPIRED = "expired"
    VENDOR_CDN = "vendor_cdn"
    UNGOVERNED = "ungoverned"
    UNDETERMINED = "undetermined"


class OperationVerdict(StrEnum):
    """Whether follow-up operations on an asset are still accepted at `as_of`."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"
    UNGOVERNED = "ungoverned"
    UNDETERMINED = "undetermined"
    NONE = "none"


class StorageLocation(StrEnum):
    """Who holds the file."""

    PLATFORM = "platform"
    VENDOR_CDN = "vendor_cdn"


class Evidence(StrEnum):
    """Whether the owner of the URL's host fits the storage the rule says."""

    AGREES = "agrees"
    CONFLICTS = "conflicts"
    EXPECTED = "expected"
    NONE = "none"


VERDICTS = tuple(Verdict)
OPERATION_VERDICTS = tuple(OperationVerdict)
EVIDENCES = tuple(Evidence)

FACTS = ("service", "task_type", "account", "media", "role", "watermarked")
"""The facts a selector may name, in this order everywhere."""

ACCOUNTS = ("pay_as_you_go", "host_your_account")
MEDIA = ("image", "video", "audio", "model", "text")
BASES = ("published", "observed", "assumed", "internal")
UNLISTED_ROLE = "unlisted"
"""Role of an output URL at a path that the catalog does not list."""


def fold(word: str) -> str:
    """The form in which two spellings of a name are equal: case, blanks, `-` and `_` make no difference."""
    return word.strip().lower().replace("_", "-").replace(" ", "-")


FINDING_COLUMNS = (
    "asset_id", "task_id", "service", "model", "task_type", "account", "media", "role", "watermarked",
    "url", "url_host", "host_owner", "evidence", "status", "created_at", "completed_at", "as_of",
    "verdict", "possibly_past", "reason", "rule_id", "rule_version", "basis", "storage",
    "expires_earliest", "expires_latest", "seconds_left",
    "operations", "operation_verdict", "operation_rule_id", "operation_rule_version",
    "operation_closes_earliest", "operation_closes_latest",
    "link_expires_at", "points", "cost_usd", "archived", "exempted_by", "account_id", "api_key_id", "source",
    "save_by",
)  # fmt: skip
"""Columns of the findings table in the order of the CSV."""

TIME_COLUMNS = (
    "created_at", "completed_at", "as_of", "expires_earliest", "expires_latest",
    "operation_closes_earliest", "operation_closes_latest", "link_expires_at", "save_by",
)  # fmt: skip
"""Finding columns that hold instants (UTC)."""

QUARANTINE_COLUMNS = ("source", "reason", "found", "expected")
"""Columns of the quarantine table: where, which code, what was found, what was expected."""

REASONS: dict[str, str] = {
    "no_published_rule": "The provider publishes no rule for this service; the rule pack says so.",
    "no_rule_in_force": "The service has rules, but none covers this asset at its creation.",
    "unknown_service": "The record names no service, or one that the catalog does not list.",
    "no_clock": "A deadline applies, but neither the submission nor the completion of the task is known.",
    "submission_unknown": "The submission is not recorded; it is bounded by the completion and the longest task.",
    "completion_unknown": "The completion is not recorded; it is bounded by what else the records say.",
    "times_inverted": "The record says that the task ended before it was submitted; the two times were swapped.",
    "readings_differ": "Counting from submission and from completion gives different answers.",
    "task_type_unknown": "The task type is not known, and an answer depends on it.",
    "account_unknown": "The account (pay-as-you-go or host-your-account) is not known, and an answer depends on it.",
    "media_unknown": "The kind of media is not known, and an answer depends on it.",
    "role_unknown": "The role of the file is not known, and an answer depends on it.",
    "watermarked_unknown": "Whether the file is watermarked is not known, and an answer depends on it.",
    "facts_conflict": "The records disagree about this file; the fact counts as unknown.",
}
"""Reason codes of findings, in the order in which they are joined, with their meaning."""

WITHOUT_ASSET_REASONS: dict[str, str] = {
    "not_yet_created": "The task was submitted or finished after as_of.",
    "outside_period": "The task was created outside --created-from and --created-until.",
    "pending": "The task is waiting and no URL was seen.",
    "processing": "The task is running and no URL was seen.",
    "staged": "The task is held back by a concurrency limit and no URL was seen.",
    "failed": "The task failed and no URL was seen.",
    "cancelled": "The task was cancelled and no URL was seen.",
    "unknown_status": "The status is empty or not known and no URL was seen.",
    "no_file_output": "The task completed, and tasks of this type produce no file.",
    "previews_only": "The task completed, and only previews of its files were seen.",
    "output_without_url": "The task completed and carries an output, but no URL is in it.",
    "unknown_service": "The task completed without an output, and its service is not known: nothing can be expected.",
}
"""Why a task has no asset, with meaning."""


VERDICT_WORDS: dict[str, tuple[str, str]] = {
    "active": ("active", "Kept by the platform, and the deadline is further away than the horizon."),
    "at_risk": ("at risk", "The deadline is within the horizon, or may already be past: save these first."),
    "expired": (
        "past its deadline",
        "Every possible deadline has passed. The provider may have deleted the file; that was not checked.",
    ),
    "vendor_cdn": ("vendor CDN", "Held by the vendor's CDN on the vendor's own terms; no period is published."),
    "ungoverned": ("ungoverned", "No published rule covers these files; how long they stay is not known."),
    "undetermined": ("undetermined", "A fact is missing, and the answer depends on it; the reasons say which."),
}
"""Verdict -> (words, meaning)."""


WINDOW_WORDS: dict[str, str] = {
    "open": "Follow-up operations are still accepted.",
    "closing": "Still accepted, or already closed on one reading; the window closes within the horizon.",
    "closed": "Every possible window has closed.",
    "ungoverned": "The service has follow-up operations, and no published rule says how long they are accepted.",
    "undetermined": "A fact is missing, and the answer depends on it.",
    "none": "The service has no follow-up operations.",
}
"""Operation verdict -> meaning."""


EVIDENCE_WORDS: dict[str, str] = {
    "agrees": "The owner of the URL's host is the one that the rule names.",
    "conflicts": "The owner of the URL's host is not the one that the rule names.",
    "expected": "No URL was seen; the task completed, so the file is expected to exist.",
    "none": "The host's owner is not known, or no rule says who holds the file.",
}
"""Evidence -> meaning."""


BASIS_WORDS: dict[str, str] = {
    "published": "The provider states it.",
    "observed": "Seen in the provider's own data, not stated.",
    "assumed": "Neither stated nor seen; the rule pack gives its reasoning.",
    "internal": "A house rule.",
}
"""Basis -> meaning."""
