"""Several processes that save one checkpoint together."""

from __future__ import annotations

import dataclasses
from typing import Any, Mapping, NamedTuple, Optional

from . import _native


@dataclasses.dataclass(frozen=True)
class Ranks:
    """The processes that save one checkpoint together, as one of them sees them.

    They share the directory of the store, and need no other connection.

    Attributes:
        rank: number of this process, from 0.
        world_size: number of processes.
        launch: a name of this start of the processes: the same in all of them, and another one each
            time that they are started, such as the job's id and the number of its restart.
        timeout: maximum time in seconds that a save waits for the other processes.
        start_timeout: the same at the start, and to restore together.
    """

    rank: int
    world_size: int
    launch: str
    timeout: float = 600
    start_timeout: float = 600

    @staticmethod
    def of_torch(**options: float) -> Ranks:
        """Those of the default process group of `torch.distributed`; a call of all of them.

        Args:
            options: `timeout` and `start_timeout`.
        """
        import uuid

        import torch.distributed as dist

        launch: list[Any] = [uuid.uuid4().hex]
        dist.broadcast_object_list(launch, src=0)
        return Ranks(dist.get_rank(), dist.get_world_size(), launch[0], **options)

    def _structure(self) -> _native.Ranks:
        ranks = _native.sized(_native.Ranks)
        ranks.launch, ranks.rank, ranks.world_size = _native.text(self.launch), self.rank, self.world_size
        ranks.seconds, ranks.start_seconds = self.timeout, self.start_timeout
        return ranks


class Box(NamedTuple):
    """The part of a tensor that a process holds."""

    #: Extents of the complete tensor.
    shape: tuple[int, ...]
    #: First index that is held, per dimension.
    offset: tuple[int, ...]
    #: The processes that hold the same elements, this one among them; empty if that is not known.
    holders: tuple[int, ...] = ()


class Shard:
    """A tensor of the state that is a part of a larger one, for several processes.

        {"weight": ckpt.Shard(rows, shape=(4096, 1024), offset=(rank * 512, 0))}

    Args:
        memory: the elements that this process holds, row-major: a box.
        shape: shape of the complete tensor.
        offset: first index that is held, per dimension.
        holders: the processes that hold the same elements, this one among them: one of them saves
            them, and all are compared. None if each one that holds them is to save them.
    """

    def __init__(
        self, memory: Any, shape: tuple[int, ...], offset: tuple[int, ...],
        holders: Optional[tuple[int, ...]] = None,
    ) -> None:
        self.memory = memory
        self.box = Box(tuple(shape), tuple(offset), tuple(holders or ()))


class OfRank:
    """A value of the state that belongs to this one of several processes, such as a generator.

    All processes have one of the name, rank 0 among them. All other values must be the same in all processes.

    Args:
        value: what is saved; a restore replaces it.
        on_another_world: if another number of processes has saved the checkpoint: "refuse" fails, and
            "first" takes the value of rank 0, from which a program should make one of its own.
    """

    def __init__(self, value: Any, on_another_world: str = "refuse") -> None:
        if on_another_world not in RULES:
            raise ValueError(f"on_another_world is {on_another_world!r}, not one of {', '.join(RULES)}")
        self.value = value
        self.on_another_world = on_another_world


RULES: Mapping[str, int] = {"refuse": 0, "first": 1}
