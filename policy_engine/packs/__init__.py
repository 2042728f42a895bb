"""Rule packs: guarded reading of YAML, checks against the schemas, and the finished RulePack."""

from policy_engine.packs.loading import bundled_pack_names, find_pack, read_pack
from policy_engine.packs.revisions import read_pack_at, resolve_pack

__all__ = ["bundled_pack_names", "find_pack", "read_pack", "read_pack_at", "resolve_pack"]
