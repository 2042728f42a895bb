"""rules, schema and example."""

from __future__ import annotations

from tests.support.commands import AS_OF, policy_engine


def test_example_to_standard_output() -> None:
    """
    `example -o -` prints the history alone, fit to be read again.
    """
    done = policy_engine("example", "--tasks", "20", "-o", "-")
    assert done.code == 0
    assert done.err == ""
    again = policy_engine("evaluate", "-", "-o", "-", "--as-of", AS_OF, stdin=done.out)
    assert again.code == 0
    assert "= 20 tasks + " in again.err
