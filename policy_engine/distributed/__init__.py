"""Carries out the steps of a run on Dask: on processes of this machine, or on the workers of a cluster that exists."""

from policy_engine.distributed.cluster import LOCAL, open_cluster
from policy_engine.distributed.mapper import DaskMapper

__all__ = ["LOCAL", "DaskMapper", "open_cluster"]
