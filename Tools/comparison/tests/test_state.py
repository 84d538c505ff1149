"""The state in PyTorch; skipped without it: PYTHON=.build-compare/peers/bin/python Tools/comparison/test"""

from __future__ import annotations

import importlib.util
import unittest

from ..variants import NAMES, variant


@unittest.skipUnless(importlib.util.find_spec("torch"), "PyTorch is not installed")
class StateTests(unittest.TestCase):
    def test_sizes_are_those_of_the_description(self) -> None:
        from ..state import State

        for name in NAMES:
            described = variant(name, 0.002)
            state = State(described, 1)
            self.assertEqual((state.nbytes, len(state.tensors)), (described.nbytes, described.tensor_count), name)

    def test_an_update_changes_what_is_trained_and_a_computation_nothing(self) -> None:
        from ..state import State

        for name in ("gpt2", "bf16", "lora"):
            state = State(variant(name, 0.002), 1)
            before = {key: state.digest_of(key) for key in state.tensors}
            state.compute(1)
            self.assertEqual(before, {key: state.digest_of(key) for key in state.tensors})
            state.update()
            for key in state.tensors:
                frozen = name == "lora" and key.startswith("model.") and not key.endswith((".a", ".b"))
                # A small step may leave all of a few bf16 weights as they are.
                if frozen or state.tensors[key].element_size() == 4:
                    self.assertEqual(state.digest_of(key) == before[key], frozen, key)

    def test_two_states_are_equal_after_as_many_updates(self) -> None:
        from ..state import State

        first, second = (State(variant("bf16", 0.002), 1) for _ in range(2))
        self.assertEqual(first.digest(), second.digest())
        first.update()
        self.assertNotEqual(first.digest(), second.digest())
        second.update()
        self.assertEqual(first.digest(), second.digest())
        first.clear()
        self.assertEqual(bytes(first.memory("model.wte")), bytes(first.tensors["model.wte"].nbytes))

    def test_tensors_share_the_memory_of_model_and_optimizer(self) -> None:
        from ..state import State

        state = State(variant("bf16", 0.002), 1)
        for name, parameter in state.model.named_parameters():
            self.assertEqual(state.tensors[f"model.{name}"].data_ptr(), parameter.data_ptr())
            for key, value in state.optimizer.state[parameter].items():
                self.assertIs(state.tensors[f"optimizer.state.{name}.{key}"], value)
