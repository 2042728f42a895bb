"""
`gap`: a service of the catalog that no rule is about and that is not declared to have none.

An asset of such a service is `ungoverned`, and nobody has said whether that is the provider's silence or an
oversight. Write a rule for it, or name it in `no_published_rule` of pack.yaml. This is a warning.
"""

from __future__ import annotations

from policy_engine.model import RulePack
from policy_engine.problems import Problem
from policy_engine.timelines import in_force


def check(pack: RulePack) -> tuple[Problem, ...]:
    """Return a warning for each service that is neither governed nor declared."""
    covered = {service for entry in pack.no_published_rule for service in entry.services}
    for rule in pack.rules:
        for _, version in in_force(rule):
            if version is not None and version.storage is not None:
                named = version.selector.conditions.get("service")
                if named is None:
                    return ()
                covered |= named
    return tuple(
        Problem(
            "gap",
            f"no rule says where files of `{service.id}` are kept, and nothing says that there is none",
            service.span,
            severity="warning",
            help="write a rule for it, or name it in `no_published_rule` of pack.yaml",
        )
        for service in pack.catalog.services
        if service.id not in covered
    )
