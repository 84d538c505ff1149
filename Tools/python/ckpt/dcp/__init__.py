"""`torch.distributed.checkpoint` in a store of ckpt.

    import torch.distributed.checkpoint as dcp
    from ckpt.dcp import CkptReader, CkptWriter

    writer = CkptWriter("runs/first", keep_last=3)
    dcp.async_save(state, storage_writer=writer, checkpoint_id="step-100")   # or dcp.save
    dcp.load(state, storage_reader=CkptReader("runs/first"))                 # the newest

A checkpoint id is a step: `100`, `"step-100"` or `"runs/first/step-100"`. Without one, a save takes
the step after the newest, and a load reads the newest. A path without a step is a store.

Nothing is pickled: metadata and plain values are JSON. A value that JSON cannot hold is stored as
bytes of `torch.save`, with a warning, and read only if `torch.load(weights_only=True)` accepts it.
The page `Tools/python/docs/dcp.md` says how a checkpoint is stored.
"""

from __future__ import annotations

from ._convert import ckpt_to_dcp, ckpt_to_torch_save, dcp_to_ckpt, torch_save_to_ckpt
from ._planner import CkptSavePlanner
from ._reader import CkptReader
from ._writer import CkptWriter

__all__ = [
    "CkptReader", "CkptSavePlanner", "CkptWriter", "ckpt_to_dcp", "ckpt_to_torch_save", "dcp_to_ckpt",
    "torch_save_to_ckpt",
]
