"""
Everything that asks which values a fact can have gets one answer, and an unknown fact stands for all of them.

| Asked | By |
|---|---|
| the frame of findings, which keeps what a fact can be | `evaluate` |
| the space of rules | lint |
| the profiles that are compared, and the values that changes name | diff |
| what is supposed of an unknown fact | explain |
| the facts of generated cases | `test --generate` |
| the values that a changed selector can name | mutation |

The right answer is the oracle's, which shares no code with them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.authoring.compare.diff import compare_packs
from policy_engine.authoring.testing.generation import generate_cases
from policy_engine.authoring.testing.mutants import make_mutants
from policy_engine.core.fact_domain import ANY_OTHER
from policy_engine.core.periods import DAY, parse_instant
from policy_engine.core.rule_model import RulePack, Service
from policy_engine.core.vocabulary import FACTS, StorageLocation
from policy_engine.engine.evaluation import evaluate
from policy_engine.engine.question import Question
from policy_engine.engine.run import RunOptions
from policy_engine.explain import explain_task
from policy_engine.history import find_sources
from policy_engine.packs import read_pack
from policy_engine.packs.rule_space import RuleSpace
from tests.support.agreement import ask, frame_of
from tests.support.oracle import OTHER, domain
from tests.support.strategies import PACK_BYTES, STRANGERS, World, make_pack, rule, version, worlds

FEW = settings(max_examples=max(5, settings.default.max_examples // 20))
SPARE = FACTS[1:]
NOON = "2026-03-01T12:00:00Z"


def expected(service: Service, fact: str) -> set[str]:
    """The values of a fact by the oracle, all that the catalog does not list being one."""
    return {ANY_OTHER if value is OTHER else str(value) for value in domain(service, fact)}


def with_a_rule_per_value(made: RulePack, fact: str) -> RulePack:
    """The catalog of a pack under rules that tell every listed value of a fact from every other, by their period."""
    rules = []
    for service in made.catalog.services:
        for number, value in enumerate(sorted(expected(service, fact) - {ANY_OTHER}), 1):
            conditions = {"service": [service.id], fact: [value]}
            says = version(1, conditions, storage=StorageLocation.PLATFORM, retention=number * DAY)
            rules.append(rule(f"{service.id}-{number}", says))
    return replace(made, rules=tuple(sorted(rules, key=lambda each: each.id)), no_published_rule=())


def kept_by_evaluation(made: RulePack, service: Service, fact: str) -> set[str]:
    """Of all values of any service and of none, those that a finding about a file of this one shows."""
    values = {value for each in made.catalog.services for value in expected(each, fact)}
    values |= {STRANGERS.get(fact, "perhaps"), ANY_OTHER}
    frame = pd.DataFrame({"service": service.id, fact: sorted(values), "created_at": NOON})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        findings = evaluate(frame, made, as_of=NOON)
    is_known = ~findings["reason"].astype("str").str.contains(f"{fact}_unknown")
    kept = set(findings[fact][is_known & findings[fact].notna()])
    # What nobody lists is any other task type, whatever it is called.
    return {value if value in expected(service, fact) else ANY_OTHER for value in kept} if kept else kept


def supposed_by_explain(made: RulePack, service: Service, fact: str) -> set[str]:
    """What an explanation supposes of the fact of a file about which nothing is known."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "files.csv"
        path.write_text(
            f"task_id,service,role,url,created_at\nt,{service.id},nobody,https://a.example/a,{NOON}\n", encoding="utf-8"
        )
        options = RunOptions(Question(parse_instant(NOON), DAY, DAY))
        (task,) = explain_task(find_sources([str(path)]).sources, made, options, "t")
    found = dict(task.groups[0].suppositions).get(fact, ())
    return {one.value for one in found}


def named_by_cases(given: list[dict[str, Any]], service: Service, fact: str) -> set[str]:
    """The values of a fact that records of generated cases about files of a service state."""
    found = {record[fact] for record in given if record["service"] == service.id and fact in record}
    return {str(value).lower() if isinstance(value, bool) else value for value in found}


def named_by_mutants(made: RulePack, service: Service, fact: str) -> set[str]:
    """The values of a fact that changed selectors about a service name."""
    rules = [each for each in made.rules if service.id in each.versions[0].selector.conditions["service"]]
    return {
        value
        for each in rules[:1]
        for mutant in make_mutants(each, made.catalog)
        if mutant.after.versions[0].selector.conditions.get("service") == {service.id}
        for value in mutant.after.versions[0].selector.conditions.get(fact, ())
    } | {value for each in rules[:1] for value in each.versions[0].selector.conditions[fact]}


def assert_one_answer(made: RulePack, fact: str) -> None:
    """Everything that asks about a fact of the services of a pack gets the oracle's answer."""
    about = with_a_rule_per_value(made, fact)
    space = RuleSpace(about)
    compared = compare_packs(replace(about, rules=()), about)
    text, _, _ = generate_cases(about).partition("\ncases:")
    cases = list(yaml.safe_load(text)["given"].values())
    profiles = 0
    for service in about.catalog.services:
        values = expected(service, fact)
        profiles += len(values)
        assert set(space.domains[service.id][fact]) == values
        assert kept_by_evaluation(about, service, fact) == values
        assert named_by_mutants(about, service, fact) == values - {ANY_OTHER}
        if len(values) > 1:
            assert supposed_by_explain(about, service, fact) == values
            assert named_by_cases(cases, service, fact) == values
            changes = [change for change in compared.changes if service.id in change.services]
            assert {name for change in changes for name in change.facts[fact].names} == values - {ANY_OTHER}
    assert compared.space.profiles == profiles


@pytest.mark.parametrize("fact", SPARE)
def test_the_bundled_pack_has_one_domain(fact: str) -> None:
    """
    Evaluation, lint, diff, explain, generated cases and mutants know the same values for every bundled service.
    """
    assert_one_answer(read_pack("piapi"), fact)


@FEW
@given(st.binary(min_size=PACK_BYTES, max_size=PACK_BYTES), st.sampled_from(SPARE))
def test_any_pack_has_one_domain(data: bytes, fact: str) -> None:
    """
    Evaluation, lint, diff, explain, generated cases and mutants know the same values for every service of any catalog.
    """
    assert_one_answer(make_pack(data), fact)


def test_lint_counts_what_there_is() -> None:
    """
    The extent that lint prints is that of the domains.
    """
    made = read_pack("piapi")
    counts = {
        fact: len({value for each in made.catalog.services for value in expected(each, fact)} - {ANY_OTHER})
        for fact in ("account", "media", "role", "watermarked")
    }
    types = sum(len(expected(each, "task_type")) - 1 for each in made.catalog.services)
    assert RuleSpace(made).extent.startswith(
        f"{len(made.catalog.services)} services; task_type: {types} listed, and any other; account: "
        f"{counts['account']}; media: {counts['media']}; role: {counts['role']} listed; watermarked: "
        f"{counts['watermarked']}; "
    )


def supposing(world: World, fact: str) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Assets without a fact, each with copies that state every value that it can have."""
    services = {service.id: service for service in world.pack.catalog.services}
    for subject in world.assets:
        if subject["service"] in services:
            values = sorted(expected(services[subject["service"]], fact))
            yield {**subject, fact: None}, [{**subject, fact: value} for value in values]


@given(worlds(assets=6), st.sampled_from(SPARE))
def test_an_unknown_fact_covers_every_stated_one(world: World, fact: str) -> None:
    """
    What is said of a file without a fact holds of the file with any value of it, and the dates are as wide as needed.
    """
    for unknown, stated in supposing(world, fact):
        findings = ask(frame_of([unknown, *stated]), world)
        whole, parts = findings.iloc[0], findings.iloc[1:]
        for verdict, dates, settled in (
            ("verdict", ("expires_earliest", "expires_latest"), {"ungoverned", "vendor_cdn"}),
            ("operation_verdict", ("operation_closes_earliest", "operation_closes_latest"), {"ungoverned", "none"}),
        ):
            if whole[verdict] in settled:
                assert set(parts[verdict]) == {whole[verdict]}
            elif whole[verdict] != "undetermined":
                assert not set(parts[verdict]) & {"ungoverned", "vendor_cdn", "undetermined", "none"}
                assert whole[dates[1]] == parts[dates[1]].max()
            earliest = parts[dates[0]].min()
            assert (pd.isna(whole[dates[0]]) and pd.isna(earliest)) or whole[dates[0]] == earliest
        if f"{fact}_unknown" not in whole["reason"]:
            assert len(set(parts["verdict"])) == 1


@given(worlds(assets=8), st.sampled_from(("account", "media", "role", "watermarked")))
def test_what_a_fact_cannot_be_is_unknown(world: World, fact: str) -> None:
    """
    A file that states what a fact cannot be gets every answer that it gets without the fact.
    """
    odd = STRANGERS.get(fact, "perhaps")
    without = ask(frame_of([{**subject, fact: None} for subject in world.assets]), world)
    stated = ask(frame_of([{**subject, fact: odd} for subject in world.assets]), world)
    pd.testing.assert_frame_equal(stated, without)
