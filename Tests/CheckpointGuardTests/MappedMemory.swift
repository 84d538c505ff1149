internal import CheckpointGuard
internal import CheckpointIO
internal import CheckpointTestSupport
internal import Glibc
internal import Synchronization

/// Kinds of pages.
enum MemoryKind: CaseIterable, Sendable {
    /// Private, 4K pages, all written to before.
    case small
    /// Private, transparent huge pages, all written to before.
    case huge
    /// Private, never touched.
    case unpopulated
    /// Shared with children, all written to before.
    case shared
}

/// A mapping of our own, of which a test writes and reads the first word of each page. Access is atomic, since writing what is
/// being captured is what guards are for.
@safe
final class MappedMemory: @unchecked Sendable {
    static let pageSize = Int(PageRange.pageSize)
    private static let hugePageSize = 2 << 20

    let pageCount: Int
    private let base: UnsafeMutableRawPointer
    private let mapping: (start: UnsafeMutableRawPointer, byteCount: Int)

    /// Populated, the first word of page i is i + 1.
    init(_ kind: MemoryKind, pageCount: Int) {
        self.pageCount = pageCount
        let byteCount = pageCount * Self.pageSize + Self.hugePageSize
        let flags = (kind == .shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS
        let start = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, -1, 0)!
        precondition(unsafe start != MAP_FAILED)
        unsafe mapping = (start, byteCount)
        unsafe base = start.alignedUp(toMultipleOf: Self.hugePageSize)
        unsafe madvise(start, byteCount, kind == .huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE)
        if kind != .unpopulated { fill() }
    }

    deinit { unsafe munmap(mapping.start, mapping.byteCount) }

    private func fill() {
        for page in 0..<pageCount { self[page] = UInt64(page) + 1 }
    }

    subscript(page: Int) -> UInt64 {
        get { unsafe word(page).pointee.load(ordering: .relaxed) }
        set { unsafe word(page).pointee.store(newValue, ordering: .relaxed) }
    }

    private func word(_ page: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        precondition(0 <= page && page < pageCount)
        return unsafe (base + page * Self.pageSize).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    var range: PageRange { range(0..<pageCount) }

    func range(_ pages: Range<Int>) -> PageRange {
        let start = unsafe UInt(bitPattern: base) + UInt(pages.lowerBound * Self.pageSize)
        return PageRange(start: start, end: start + UInt(pages.count * Self.pageSize))
    }

    func page(at address: UInt) -> Int { Int(address - range.start) / Self.pageSize }

    /// The pages of ranges.
    func pages(_ ranges: [PageRange]) -> Set<Int> {
        Set(ranges.flatMap { page(at: $0.start)..<page(at: $0.start) + $0.pageCount })
    }

    /// Writes a page by a system call: the kernel's write, on our behalf.
    func writeByKernel(_ page: Int, _ value: UInt64) -> Int {
        var ends: [Int32] = [0, 0]
        unsafe pipe(&ends)
        defer { ends.forEach { close($0) } }
        let sent = unsafe withUnsafeBytes(of: value) { unsafe write(ends[1], $0.baseAddress, 8) }
        precondition(sent == 8)
        return unsafe read(ends[0], base + page * Self.pageSize, 8)
    }

    /// Maps pages anew, as an allocator does that gives memory back and gets it again.
    func remap(_ pages: Range<Int>) {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
        let start = unsafe base + pages.lowerBound * Self.pageSize
        let result = unsafe mmap(start, pages.count * Self.pageSize, PROT_READ | PROT_WRITE, flags, -1, 0)
        precondition(unsafe result == start)
    }

    /// Maps a file there, which cannot be guarded.
    func remapToFile(_ page: Int) {
        let file = unsafe open("/proc/self/exe", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        let start = unsafe base + page * Self.pageSize
        let result = unsafe mmap(start, Self.pageSize, PROT_READ, MAP_PRIVATE | MAP_FIXED, file, 0)
        precondition(unsafe result == start)
    }

    /// How many bytes transparent huge pages map, by proc_pid_smaps(5).
    func hugeByteCount() -> Int {
        var isOurs = false
        var total = 0
        for line in text(of: "/proc/self/smaps").split(separator: "\n") {
            let words = line.split(separator: " ")
            let ends = words[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
            if ends.count == 2 {
                isOurs = ends[0] < range.end && range.start < ends[1]
            } else if isOurs, words[0] == "AnonHugePages:" {
                total += Int(words[1])! * 1024
            }
        }
        return total
    }
}

/// A file of /proc, which has no length and comes in short pieces.
private func text(of path: String) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 1 << 16)
    while case let count = unsafe read(descriptor, &piece, piece.count), count > 0 {
        bytes += piece[..<count]
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// The page protection that this machine offers.
enum GuardSupport {
    static let guarding = requirement { () throws(GuardError) in _ = try WriteGuard { _ in } }
    static let tracking = requirement { () throws(GuardError) in _ = try WriteTracker() }

    private static func requirement(_ attempt: () throws(GuardError) -> Void) -> Requirement {
        Requirement(.guard, refusal: guardError(attempt)?.description)
    }

    /// Whether transparent huge pages can be had by madvise(2).
    static let hasHugePages: Bool = {
        let setting = text(of: "/sys/kernel/mm/transparent_hugepage/enabled")
        return !setting.isEmpty && !setting.contains("[never]")
    }()

    static let noHugePages = "transparent huge pages are off: /sys/kernel/mm/transparent_hugepage/enabled"

    /// The kinds of memory that can be had here. A kind left out is no test that is skipped, so the reason is printed.
    static let kinds: [MemoryKind] = {
        if hasHugePages { return MemoryKind.allCases }
        print("memory in huge pages is not tested: \(noHugePages)")
        return MemoryKind.allCases.filter { $0 != .huge }
    }()
}

/// A guard that notes which pages are written to, and does with them what it is told.
final class RecordingGuard: Sendable {
    let memory: MappedMemory
    let held = Monitor<[Int]>([], rank: .unchecked)
    private let guarding = Monitor<WriteGuard?>(nil, rank: .unchecked)

    /// Guards all of the memory; nothing is protected yet. `onWrite` gets the page and the guard.
    init(_ memory: MappedMemory, onWrite: @escaping @Sendable (Int, WriteGuard) -> Void = { _, _ in }) throws {
        self.memory = memory
        let (held, guarding) = (held, guarding)
        let made = try WriteGuard { address in
            let page = memory.page(at: address)
            held.withLock { $0.append(page) }
            onWrite(page, guarding.waitFor { $0 })
        }
        guarding.withLock { $0 = made }
        try made.register([memory.range])
    }

    deinit {
        writes.close()
        guarding.withLock { $0 = nil }
    }

    var writes: WriteGuard { guarding.waitFor { $0 } }

    /// Whether a write to this page is reported before long.
    func waitForHeld(_ page: Int, count: Int = 1) -> Bool {
        held.waitFor(timeout: .seconds(60)) { held in held.count { $0 == page } >= count ? true : nil } ?? false
    }
}

/// A thread that does one thing, of which a test can tell whether it is done.
final class Attempt: Sendable {
    private let isDone = Monitor(false, rank: .unchecked)
    private let thread: WorkerThread

    init(_ body: @escaping @Sendable () -> Void) throws {
        let isDone = isDone
        thread = try WorkerThread(name: "attempt") {
            body()
            isDone.withLock { $0 = true }
        }
    }

    /// Whether it is not done, although another thread, started after it, has written to memory
    /// that nobody guards: what is compared is the order of events, not a time.
    func isHeld() throws -> Bool {
        let free = MappedMemory(.small, pageCount: 1)
        return try Attempt { free[0] = 1 }.ends() && !isDone.withLock { $0 }
    }

    /// Whether it ends before long; then the thread is gone.
    func ends() -> Bool {
        guard isDone.waitFor(timeout: .seconds(60), { $0 ? true : nil }) ?? false else { return false }
        thread.join()
        return true
    }
}
