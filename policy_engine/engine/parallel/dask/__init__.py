"""Carries out the steps of a run on Dask: on processes of this machine, or on the workers of a cluster that exists."""

from policy_engine.engine.parallel.dask.cluster import LOCAL, open_cluster
from policy_engine.engine.parallel.dask.mapper import DaskMapper

__all__ = ["LOCAL", "DaskMapper", "open_cluster"]
