"""A disk that logs its writes, images of it after a power cut, and what must be on them. See Tools/power-cuts/run."""

import bisect
import ctypes
import errno
import fcntl
import hashlib
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Formats/reader"))
import read_checkpoint as reader  # noqa: E402

BIN = os.path.abspath(os.environ.get("CKPT_BIN") or os.path.join(ROOT, ".build/release"))
TRAIN = ("--model", "tiny", "--batch", "2", "--arena", "8")
LIBC = ctypes.CDLL(None, use_errno=True)
DEADLINE = 120
MAX_WRITE = 1 << 20
RUNNING = []  # processes that have been started and not waited for
DAMAGED, INTACT = "damaged", "intact"  # values of a checkpoint: some of it is lost; its bytes were not seen before it expired


def mount(source, target, kind, options="", flags=0):
    """Returns 0 or an errno."""
    failed = LIBC.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode() or None)
    return ctypes.get_errno() if failed else 0


def separate_mounts():
    """Gives this process mounts of its own. A copy of a mount in another process's namespace would keep the file system alive
    after unmount(), and the next mount would show its memory in place of the image. They also go when this process does."""
    if LIBC.unshare(0x20000) or mount("none", "/", "", flags=0x44000):  # CLONE_NEWNS; MS_REC | MS_PRIVATE
        raise OSError(ctypes.get_errno(), "unshare of mounts")


def freeze(target):
    """Writes everything to its place, as before a snapshot: a journal that is short from then on is replayed sooner."""
    file = os.open(target, os.O_RDONLY)
    for request in (0xC0045877, 0xC0045878):  # FIFREEZE, FITHAW
        fcntl.ioctl(file, request, 0)
    os.close(file)


def unmount(target, device):
    """Ends the programs that run there; returns when the file system has let go of its device."""
    for process in RUNNING:
        process.kill()
    for _ in range(1000):
        if LIBC.umount2(target.encode(), 0) and ctypes.get_errno() != errno.EINVAL:  # EINVAL: unmounted before
            time.sleep(0.02)
            continue
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
            return
        except OSError:
            time.sleep(0.002)
    sys.exit(f"{target} cannot be unmounted: {os.strerror(ctypes.get_errno())}")


class Disk:
    """A loop device over a file of FUSE. A process of its own answers the requests, from memory that it shares with this one."""

    def __init__(self, work, size):
        shared = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
        self.size, self.file, self.loop = size, os.path.join(work, "disk"), None
        self.bytes = mmap.mmap(-1, size, shared)
        self.index = mmap.mmap(-1, 256 << 20, shared)  # the number of entries, and (offset, length, place in `data`) of each
        self.data = mmap.mmap(-1, 8 << 30, shared)
        open(self.file, "w").close()
        file = os.open("/dev/fuse", os.O_RDWR)
        failed = mount("power-cuts", self.file, "fuse", f"fd={file},rootmode=100600,user_id=0,group_id=0", 6)
        if failed:
            raise OSError(failed, "mount of FUSE")
        self.process = os.fork()
        if not self.process:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            os.setpriority(os.PRIO_PROCESS, 0, 0)  # it works little, and everything waits for it
            try:
                self.serve(file)
            finally:
                os._exit(0)
        os.close(file)
        attach = subprocess.run(["losetup", "--find", "--show", self.file], capture_output=True, text=True, timeout=DEADLINE)
        if attach.returncode:
            self.close()
            raise OSError(errno.ENODEV, "losetup: " + attach.stderr.strip())
        self.loop = attach.stdout.strip()

    def close(self):
        if self.loop:
            subprocess.run(["losetup", "--detach", self.loop], timeout=DEADLINE)
        LIBC.umount2(self.file.encode(), 2)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)

    def position(self):
        """How many writes and flushes have arrived."""
        return struct.unpack_from("<Q", self.index)[0]

    def forget(self):
        struct.pack_into("<QQ", self.index, 0, 0, 0)

    def entries(self):
        """(offset, length, place in `data`) of each write; a flush has length 0."""
        return list(struct.iter_unpack("<QQQ", self.index[24:24 + 24 * self.position()]))

    def log(self, offset, data):
        count, used = struct.unpack_from("<QQ", self.index)
        self.data[used:used + len(data)] = data
        struct.pack_into("<QQQ", self.index, 24 + 24 * count, offset, len(data), used)
        struct.pack_into("<QQ", self.index, 0, count + 1, used + len(data))

    def serve(self, file):
        """Answers the kernel (fuse(4), linux/fuse.h) until the mount is gone. The root of this file system is the one file."""
        buffer = bytearray(MAX_WRITE + 8192)
        view = memoryview(buffer)
        attributes = struct.pack("<QII6Q10I", 3600, 0, 0, 1, self.size, self.size // 512, 0, 0, 0, 0, 0, 0, 0o100600, 1, 0, 0, 0, 4096, 0)
        replies = {
            3: attributes, 4: attributes,  # getattr, setattr
            14: struct.pack("<QII", 0, 1, 0),  # open, past the page cache: so each write of the loop device arrives
            17: struct.pack("<5Q10I", 0, 0, 0, 0, 0, 4096, 255, 4096, *[0] * 7),  # statfs
            18: b"", 25: b"",  # release, flush
            26: struct.pack("<IIIIHHIIHHI7I", 7, 31, 0, 1 << 5 | 1 << 22, 64, 48, MAX_WRITE, 1, MAX_WRITE // 4096, 0, *[0] * 8),  # init
        }
        while True:
            try:
                os.readv(file, [buffer])
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                continue
            operation, unique = struct.unpack_from("<IQ", buffer, 4)
            failed, reply = 0, replies.get(operation)
            if operation in (2, 36, 38, 42):  # forget, interrupt, destroy: nobody waits
                continue
            if operation == 15:  # read
                offset, count = struct.unpack_from("<QI", buffer, 48)
                reply = memoryview(self.bytes)[offset:offset + count]
            elif operation == 16:  # write
                offset, count = struct.unpack_from("<QI", buffer, 48)
                self.bytes[offset:offset + count] = view[80:80 + count]
                self.log(offset, view[80:80 + count])
                reply = struct.pack("<II", count, 0)
            elif operation == 20:  # fsync: the loop device's flush. There is no FUA; the kernel sends a write and a flush
                self.log(0, b"")
                reply = b""
            elif reply is None:  # fallocate too: no discard, and zeroes are written
                failed, reply = -errno.ENOSYS, b""
            os.writev(file, [struct.pack("<IiQ", 16 + len(reply), failed, unique), reply])


class Images:
    """The disk after a power cut, one cut after another, made from a recording in the memory behind the loop device."""

    def __init__(self, disk, recording):
        self.disk, self.entries, self.data = disk, recording["entries"], recording["data"]
        # XFS reads a block of metadata before it replays changes to it, and does not mount if that is torn: it relies on disks
        # that write a block of 4096 bytes as one. So do ext4, when it is frozen, and btrfs, always, for the superblock.
        self.sector = 4096 if recording["kind"] == "xfs" else 512
        self.superblock = 65536 if recording["kind"] == "btrfs" else 0
        self.flushes = [0] + [number + 1 for number, (_, length, _) in enumerate(self.entries) if not length]
        self.flushed, self.applied = mmap.mmap(-1, disk.size), 0  # the disk after some flush
        self.dirty = []  # where the loop device differs from it

    def pending(self, cut):
        """The flush before a cut, and the writes since."""
        flush = self.flushes[bisect.bisect_right(self.flushes, cut) - 1]
        return flush, self.entries[flush:cut]

    def make(self, cut, variant, seed):
        flush, pending = self.pending(cut)
        if flush < self.applied:
            self.flushed, self.applied, self.dirty = mmap.mmap(-1, self.disk.size), 0, [(0, self.disk.size)]
        for offset, length in self.dirty:
            self.disk.bytes[offset:offset + length] = self.flushed[offset:offset + length]
        for offset, length, at in self.entries[self.applied:flush]:
            self.flushed[offset:offset + length] = self.disk.bytes[offset:offset + length] = self.data[at:at + length]
        self.applied, self.dirty = flush, []
        draw = random.Random(f"{seed} {cut} {variant}")
        share, torn = (draw.choice((0.1, 0.3, 0.5, 0.7, 0.9)), draw.choice((0, 0.2, 0.6))) if variant else (1, 0)
        for offset, length, at in pending:
            if draw.random() < torn and length > self.sector and offset != self.superblock:
                sectors = [n for n in range(0, length, self.sector) if draw.random() < share]
                pieces = [(offset + n, min(self.sector, length - n), at + n) for n in sectors]
            else:
                pieces = [(offset, length, at)] if draw.random() < share else []
            for to, count, source in pieces:
                self.disk.bytes[to:to + count] = self.data[source:source + count]
            self.dirty.append((offset, length))

    def collect(self):
        """Remembers what mounting and the programs have written."""
        self.dirty += [(offset, length) for offset, length, _ in self.disk.entries() if length]
        self.disk.forget()


class Outcome:
    """What was found on the images of a file system: (cut, variant) of each that is wrong, or did not mount."""

    def __init__(self):
        self.images = self.programs = 0
        self.wrong, self.unmountable = [], []


# ---- What is on a disk ----------------------------------------------------------------------------------------------


class Eyes:
    """Reads stores and outputs with the independent reader; remembers the bytes that it has checked."""

    def __init__(self):
        self.manifests, self.checked = {}, {}
        self.details = {}

    def see(self, root):
        """The value of each thing below a directory, by its path."""
        found, self.details = {}, {}
        for name in sorted(os.listdir(root)):
            path = os.path.join(root, name)
            if name == "lost+found" or name.startswith(".ckpt-"):  # the last: of a killed export, until the next
                continue
            if name.startswith("out"):
                self.see_output(path, name, found)
            else:
                self.see_store(path, name, found)
        return found

    def see_output(self, path, name, found):
        if os.path.isdir(path):
            names = sorted(os.listdir(path))
            # A directory of `restore` is incomplete until it has its index.
            if name.startswith("out-restored") and "index.json" not in names:
                return
            found[name] = hashlib.sha256(repr([(n, digest(os.path.join(path, n))) for n in names]).encode()).hexdigest()
        else:
            found[name] = digest(path)

    def see_store(self, path, name, found):
        if os.path.exists(os.path.join(path, "store.json")):
            found[f"{name}/store.json"] = digest(os.path.join(path, "store.json"))
        for folder in ("tags", "pins"):
            if os.path.isdir(os.path.join(path, folder)):
                for mark in os.listdir(os.path.join(path, folder)):
                    found[f"{name}/{folder}/{mark}"] = digest(os.path.join(path, folder, mark))
        segments = {}
        folder = os.path.join(path, "manifests")
        for manifest in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            place = f"{name}/manifests/{manifest}"
            try:
                found[place] = self.content(path, manifest, segments)
            except (reader.Bad, OSError) as bad:
                found[place], self.details[place] = DAMAGED, f"{type(bad).__name__} {getattr(bad, 'file', '')} {bad}"

    def content(self, path, name, segments):
        """The hash of a checkpoint's content. What has been checked with the same bytes of all files is not decoded again."""
        where = os.path.join(path, "manifests", name)
        key = digest(where)
        if key not in self.manifests:
            with open(where, "rb") as file:
                manifest = reader.parse_manifest(file.read())
            self.manifests[key] = manifest, [reader.segment_name(row) for row in manifest["segments"]]
        manifest, names = self.manifests[key]
        for segment in names:
            if segment not in segments:
                segments[segment] = digest(os.path.join(path, segment))
        key = name, key, tuple(segments[segment] for segment in names)
        if key not in self.checked:
            # Through the reader's own door, which compares the name with what the manifest says.
            store, findings = reader.Store(path), []
            content = reader.Content(store, store.manifest(name))
            for number in sorted(range(len(manifest["chunks"])), key=lambda n: manifest["chunks"][n]["block"]):
                content.chunk(number)
            for row, segment in zip(manifest["segments"], names):
                reader.need(os.path.getsize(os.path.join(path, segment)) == row["fileBytes"], None, f"{segment} has another length")
                reader.verify_segment(store, os.path.basename(segment), findings.append)
            if findings:
                raise findings[0]
            self.checked[key] = content_of(manifest)
        return self.checked[key]


def digest(path):
    with open(path, "rb") as file:
        return reader.hash128(file.read()).hex()


def content_of(manifest):
    """The hashes of all chunks of all tensors and objects."""
    def hashes(where):
        return [manifest["chunks"][number]["hash"] for number in range(where["first"], where["first"] + where["count"])]
    things = [(t["name"], t["type"], t["shape"], [h for shard in t["shards"] for h in hashes(shard)]) for t in manifest["tensors"]]
    things += [(o["name"], hashes(o)) for o in manifest["objects"]]
    return hashlib.sha256(repr(sorted(things, key=repr)).encode()).hexdigest()


# ---- The programs ---------------------------------------------------------------------------------------------------

def train(steps, every, *more):
    return ["train", "--store", "run", "--run-name", "run", "--steps", str(steps), "--every", str(every), *TRAIN, *more]


def start(command, folder, environment):
    program = [os.path.join(BIN, "ReferenceTrainer")] if command[0] == "train" else [os.path.join(BIN, "ckpt"), command[0]]
    process = subprocess.Popen(program + command[1:], cwd=folder, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    RUNNING.append(process)
    limit = threading.Timer(DEADLINE, process.kill)
    limit.daemon = True
    limit.start()
    process.limit = limit
    return process


def finished(process):
    """Waits for a process that has been started; returns its status."""
    process.wait()
    process.limit.cancel()
    RUNNING.remove(process)
    return process.returncode


class Wrong(Exception):
    """A promise that was not kept."""


def ask(root, statuses, *arguments):
    process = start(list(arguments), root, {})
    text = process.stdout.read()
    if finished(process) not in statuses:
        raise Wrong(f"ckpt {' '.join(arguments)}: status {process.returncode}: {text[-800:]}")
    return text


def findings_of(root, statuses, store):
    text = ask(root, statuses, "verify", store, "--json")
    return json.loads(text[text.index("{"):])["findings"]


def stores(root):
    return [n for n in ("run", "mirror", "other", "again") if os.path.exists(os.path.join(root, n, "store.json"))]


def judge_by_programs(root, found, eyes, draw, weights):
    """The programs find nothing wrong, a next command succeeds, and nothing is left over after `clean`."""
    hurt = {path.split("/")[0] for path, value in found.items() if value == DAMAGED}
    for store in stores(root):
        findings = findings_of(root, (1,) if store in hurt else (0,), store)
        if any(finding["kind"] in ("damage", "unchecked") for finding in findings) != (store in hurt):
            raise Wrong(f"verify of {store} finds {findings}")
        rows = json.loads(ask(root, (0,), "ls", store, "--json"))["checkpoints"]
        steps = sorted(int(name[-29:-9]) for name in os.listdir(os.path.join(root, store, "manifests")))
        if store not in hurt and sorted(row["step"] for row in rows) != steps:
            raise Wrong(f"ls of {store} shows {[row['step'] for row in rows]}; there are {steps}")
    pruned = False
    if hurt:
        ask(root, (0, 1), "repair", "run", *(("--from", "mirror") if "mirror" in stores(root) else ()))
    elif "run" not in stores(root) or not any(path.startswith("run/manifests/") for path in found):
        ask(root, (0,), "import", "run", weights, "--step", "999")
    else:
        choice = draw.choice((["import", "run", weights, "--step", "999"], ["mirror", "run", "mirror"], ["copy", "run", "other"],
                              ["repack", "run"], ["repair", "run"], ["prune", "run", "--keep-last", "2"],
                              train(max(int(p[-29:-9]) for p in found if p.startswith("run/manifests/")) + 1, 1)))
        pruned = choice[0] == "prune"
        ask(root, (0,), *choice)
    for store in stores(root):
        if os.path.exists(os.path.join(root, store, "quarantine")):  # the next repair continues one that was cut short
            ask(root, (0, 1), "repair", store)
        ask(root, (0,), "clean", store)
        if store in hurt:
            continue
        staging = os.path.join(root, store, "staging")
        findings = findings_of(root, (0,), store)
        left = os.listdir(staging) if os.path.exists(staging) else []
        if findings or left:
            raise Wrong(f"left in {store} after clean: {findings} {left}")
    after = eyes.see(root)
    for path, value in found.items():
        is_changed = path not in after if value == DAMAGED else after.get(path) != value
        if "/manifests/" in path and is_changed and not hurt and not (pruned and path.startswith("run/")):
            raise Wrong(f"{path} has changed by a next command: {after.get(path)} {eyes.details.get(path, '')}")
