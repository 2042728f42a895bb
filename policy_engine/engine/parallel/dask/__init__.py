"""Runs the steps of a run on Dask: in processes of this machine, or on the workers of an existing cluster."""

from policy_engine.engine.parallel.dask.cluster import LOCAL, open_cluster
from policy_engine.engine.parallel.dask.mapper import DaskMapper

__all__ = ["LOCAL", "DaskMapper", "open_cluster"]
