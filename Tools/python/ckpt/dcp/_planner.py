"""The planner that saves empty shards correctly."""

from __future__ import annotations

import dataclasses
import math

from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.planner import SavePlan, WriteItem


class CkptSavePlanner(DefaultSavePlanner):
    """The default planner, except that an empty shard is not taken for a copy of the one that begins
    at the same offset."""

    def _dedup_save_plans(self, all_plans: list[SavePlan]) -> list[SavePlan]:
        kept = [
            dataclasses.replace(plan, items=[item for item in plan.items if not _is_empty_shard(item)])
            for plan in all_plans]
        deduplicated: list[SavePlan] = super()._dedup_save_plans(kept)
        return deduplicated


def _is_empty_shard(item: WriteItem) -> bool:
    data = item.tensor_data
    return data is not None and math.prod(data.chunk.sizes) == 0 and math.prod(data.size) > 0
