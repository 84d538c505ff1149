from __future__ import annotations

import unittest

from ..schedule import order


class ScheduleTests(unittest.TestCase):
    def test_every_repeat_has_every_entry_once(self) -> None:
        names = list("abcdefg")
        for repeat in range(9):
            self.assertEqual(sorted(order(names, repeat, 9)), names)

    def test_the_first_repeat_keeps_the_order(self) -> None:
        self.assertEqual(order("abc", 0, 3), list("abc"))

    def test_repeats_begin_with_different_entries(self) -> None:
        self.assertEqual(len({order(range(10), repeat, 5)[0] for repeat in range(5)}), 5)

    def test_no_entry_always_follows_the_same_one(self) -> None:
        names = list("abcdef")
        for name in names:
            before = set()
            for repeat in range(4):
                found = order(names, repeat, 4)
                before.add(found[found.index(name) - 1] if found.index(name) else None)
            self.assertGreater(len(before), 1, name)

    def test_few_and_no_entries(self) -> None:
        self.assertEqual(order([], 3, 5), [])
        self.assertEqual(order(["a"], 3, 5), ["a"])
