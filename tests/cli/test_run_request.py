"""The request: each option of a command that judges a history becomes a field, once."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields

import pytest

from policy_engine.cli import cli
from policy_engine.cli.run_request import RunRequest, takes_request
from policy_engine.core.periods import DAY, HOUR
from tests.support.exports import pack

ARGUMENTS = {"report": "a", "evaluate": "a -o x.csv", "explain": "t a", "impact": "old new a"}
"""The commands that judge a history, with the least that they take."""


def test_every_field_is_an_option_of_some_command() -> None:
    """
    No field is left that no command fills, and what a command takes besides is named in its own signature.
    """
    filled = set()
    for name in ARGUMENTS:
        command = cli.commands[name]
        given = {param.name for param in command.params}
        assert command.callback is not None
        own = set(inspect.signature(inspect.unwrap(command.callback)).parameters) - {"request"}
        assert own <= given
        assert given - {field.name for field in fields(RunRequest)} <= own, name
        filled |= given - own | (given & {field.name for field in fields(RunRequest)})
    assert filled == {field.name for field in fields(RunRequest)}


def test_absent_options_have_the_default_of_their_field() -> None:
    """
    A command without an option behaves like one whose option was left out.
    """
    for name, arguments in ARGUMENTS.items():
        values = cli.commands[name].make_context(name, arguments.split()).params
        for field in fields(RunRequest):
            if field.name in values.keys() - {"history", "output", "embed"}:
                assert values[field.name] == field.default, (name, field.name)


def test_values_of_click_become_a_frozen_request() -> None:
    """
    The command gets the request, and the values that its signature names; the request cannot be changed.
    """

    @takes_request
    def command(request: RunRequest, jobs: int, shape: str) -> int:
        assert (request.history, request.jobs, request.pack) == (("a", "b"), 2, "piapi")
        with pytest.raises(FrozenInstanceError):
            request.jobs = 3  # type: ignore[misc]
        assert (jobs, shape) == (2, "json")
        return 5

    assert command(history=("a", "b"), jobs=2, shape="json") == 5


def test_question_of_a_request() -> None:
    """
    Horizons are the pack's unless they are given, and the interval between runs is added to the first.
    """
    made = pack()
    plain = RunRequest(("a",)).question(made, 7)
    assert (plain.as_of, plain.horizon, plain.operation_horizon) == (7, made.horizon, made.operation_horizon)
    asked = RunRequest(("a",), horizon=0, operation_horizon=HOUR, every=DAY).question(made, 7)
    assert (asked.as_of, asked.horizon, asked.operation_horizon) == (7, DAY, HOUR)


def test_own_files_are_those_given() -> None:
    """
    The user's own files are known to the run, so that it does not read them as history.
    """
    assert RunRequest(("a",)).own_files == ()
    assert RunRequest(("a",), archived="have.csv", house_rules="h.yaml").own_files == ("have.csv", "h.yaml")
