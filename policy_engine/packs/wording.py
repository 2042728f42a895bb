"""Says parts of a rule pack in words: selectors, retentions, operation windows, money."""

from __future__ import annotations

from policy_engine.core.periods import describe_duration
from policy_engine.core.rule_model import RulePack, RuleVersion


def selector_words(version: RuleVersion) -> str:
    """The selector of a version in words."""
    if not version.selector.conditions:
        return "every asset"
    return ", ".join(
        f"{fact.replace('_', ' ')} {' or '.join(sorted(values))}"
        for fact, values in version.selector.conditions.items()
    )


def kept_words(version: RuleVersion) -> str:
    """The retention of a version in words."""
    if version.storage is None:
        return ""
    return "vendor's terms" if version.retention is None else describe_duration(version.retention)


def operations_words(version: RuleVersion) -> str:
    """The operation window of a version in words."""
    window = version.operation_window
    return f"{', '.join(window.operations)} within {describe_duration(window.period)}" if window else ""


def money_sentence(pack: RulePack) -> str:
    """What a point is taken to be worth, and on what that rests."""
    money = pack.money
    return (
        f"{money.points_per_usd:,} points are taken to be worth 1 US dollar ({money.basis}: "
        f"{money.evidence.rstrip('.')}). Charges are those recorded on completed tasks, counted once."
    )
