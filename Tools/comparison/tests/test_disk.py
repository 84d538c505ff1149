from __future__ import annotations

import os
import unittest

from .. import disk, machine
from .support import TestCase


class DiskTests(TestCase):
    def write(self, name: str, data: bytes) -> str:
        path = os.path.join(self.directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_files_and_directories_of_a_tree(self) -> None:
        first, second = self.write("save/a", b"1"), self.write("save/x/b", b"2")
        self.assertEqual(disk.files_of(os.path.join(self.directory, "save")), [first, second])
        self.assertEqual(disk.files_of(first), [first])
        found = disk.directories_of(os.path.join(self.directory, "save"))
        self.assertEqual(
            {os.path.relpath(path, self.directory) for path in found}, {"save", os.path.join("save", "x"), "."})
        disk.sync(os.path.join(self.directory, "save"))

    def test_hard_links_count_once(self) -> None:
        path = self.write("a", bytes(100_000))
        disk.sync(path)
        before = disk.stored_bytes(self.directory)
        self.assertGreaterEqual(before, 100_000)
        os.link(path, os.path.join(self.directory, "b"))
        self.assertEqual(disk.stored_bytes(self.directory), before)

    def test_a_flipped_byte_is_put_back(self) -> None:
        path = self.write("a", bytes(range(256)))
        with disk.flipped_byte(path, 0.5):
            with open(path, "rb") as file:
                data = file.read()
            self.assertEqual([index for index in range(256) if data[index] != index], [128])
        with open(path, "rb") as file:
            self.assertEqual(file.read(), bytes(range(256)))

    def test_damage_is_done_to_the_largest_file(self) -> None:
        paths = [self.write("a", b"1"), self.write("b", bytes(1000)), self.write("c", b"")]
        self.assertEqual({path for path, _ in disk.damage_places(paths)}, {paths[1]})

    def test_evicted_files_can_be_read_again(self) -> None:
        path = self.write("a", bytes(1 << 20))
        disk.load_into_cache([path])
        self.assertEqual(disk.cached_share([path]), 1.0)
        disk.evict([path])
        self.assertLessEqual(disk.cached_share([path]), 1.0)
        self.assertEqual(disk.cached_share([self.write("empty", b"")]), 0.0)

    def test_a_filler_is_in_the_cache(self) -> None:
        path = os.path.join(self.directory, "filler")
        filler = disk.Filler(path, 16 << 20)
        self.assertEqual(os.path.getsize(path), 16 << 20)
        disk.evict([path])
        filler.fill()
        self.assertEqual(disk.cached_share([path]), 1.0)


class MachineTests(unittest.TestCase):
    MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/vda rw
30 22 0:20 / /tmp rw - tmpfs tmpfs rw
31 22 8:2 / /tmp/deep rw shared:1 master:2 - xfs /dev/vdb rw
"""

    def test_the_deepest_mount_counts(self) -> None:
        self.assertEqual(machine.file_system("/nowhere/at/all", self.MOUNTS), "ext4")
        self.assertEqual(machine.file_system("/tmp/x-of-no-one", self.MOUNTS), "tmpfs")
        self.assertEqual(machine.file_system("/tmp/deep/er", self.MOUNTS), "xfs")
        self.assertEqual(machine.file_system("/tmp/deeper", self.MOUNTS), "tmpfs")
        self.assertEqual(machine.file_system("/", ""), "unknown")
