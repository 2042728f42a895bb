"""How many examples Hypothesis makes for a property that costs more than others."""

from __future__ import annotations

from hypothesis import settings

_USUAL = settings.default.max_examples if settings.default is not None else 100

COSTLY = settings(max_examples=max(_USUAL // 4, min(_USUAL, 25)))
"""For a property whose every example is a whole run or a search: a quarter of the usual number, 25 at least."""
