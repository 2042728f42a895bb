"""Makes up a realistic task history to try things on; the same arguments give the same bytes anywhere."""

from policy_engine.history.example.writing import ExampleSummary, write_example

__all__ = ["ExampleSummary", "write_example"]
