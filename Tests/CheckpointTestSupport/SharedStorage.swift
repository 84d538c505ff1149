package import CheckpointIO
internal import Foundation
package import SystemPackage

/// A file system that many machines share, with its files in memory: every operation takes a time,
/// and bytes pass at a rate. Operations of several threads overlap, as those of several clients do.
package final class SharedStorage: FileSystem {
    /// Times of a shared file system.
    package struct Speed: Sendable {
        /// Time of one operation, in seconds; the actual time is between half and one and a half of
        /// it.
        package var latency = 0.001
        /// Bytes that one thread reads or writes in a second.
        package var bandwidth = 2e9
        /// Time of each name in a listing, in seconds.
        package var name = 2e-6

        package init() {}
    }

    /// Operations and bytes.
    package struct Counts: Sendable {
        package var operations = 0
        package var readBytes = 0
        package var writtenBytes = 0
    }

    private struct State {
        var counts = Counts()
        var random: SeededGenerator
        var isSlow = false
    }

    private let base = InMemoryFileSystem()
    private let speed: Speed
    private let state: Monitor<State>

    /// Creates an empty file system.
    ///
    /// - Parameters:
    ///   - speed: its times.
    ///   - seed: seed of the variation of the times.
    package init(_ speed: Speed, seed: UInt64) {
        self.speed = speed
        state = Monitor(State(random: SeededGenerator(seed)), rank: .unchecked)
    }

    /// Counts and delays what `body` does; everything else is immediate.
    ///
    /// - Parameter body: runs once, on this thread.
    /// - Returns: its result, its duration in seconds, and what it did.
    package func measured<R>(
        _ body: () throws -> R
    ) rethrows -> (result: R, seconds: Double, counts: Counts) {
        state.withLock { ($0.counts, $0.isSlow) = (Counts(), true) }
        let began = ContinuousClock.now
        let result = try body()
        let seconds = (ContinuousClock.now - began) / .seconds(1)
        let counts = state.withLock { state in
            state.isSlow = false
            return state.counts
        }
        return (result, seconds, counts)
    }

    fileprivate func take(read: Int = 0, written: Int = 0, names: Int = 0) {
        let seconds = state.withLock { state -> Double in
            guard state.isSlow else { return 0 }
            state.counts.operations += 1
            state.counts.readBytes += read
            state.counts.writtenBytes += written
            let jitter = 0.5 + Double(state.random.below(1000)) / 1000
            return speed.latency * jitter + Double(read + written) / speed.bandwidth
                + Double(names) * speed.name
        }
        if seconds > 0 { HeldLocks.settingAside { Thread.sleep(forTimeInterval: seconds) } }
    }

    package func create(_ path: FilePath) throws(FileSystemError) -> any WritableFile {
        take()
        return SlowWritableFile(try base.create(path), self)
    }
    package func reopen(_ path: FilePath) throws(FileSystemError) -> (any WritableFile)? {
        take()
        return try base.reopen(path)
    }
    package func open(_ path: FilePath) throws(FileSystemError) -> any ReadableFile {
        take()
        return SlowReadableFile(try base.open(path), self)
    }
    package func list(_ directory: FilePath) throws(FileSystemError) -> [String] {
        let names = try base.list(directory)
        take(names: names.count)
        return names
    }
    package func kind(of path: FilePath) throws(FileSystemError) -> FileKind? {
        take()
        return try base.kind(of: path)
    }
    package func identity(of path: FilePath) throws(FileSystemError) -> FileIdentity? {
        take()
        return try base.identity(of: path)
    }
    package func makeDirectory(_ path: FilePath) throws(FileSystemError) {
        take()
        try base.makeDirectory(path)
    }
    package func link(_ existing: FilePath, to new: FilePath) throws(FileSystemError) {
        take()
        try base.link(existing, to: new)
    }
    package func replace(_ new: FilePath, with existing: FilePath) throws(FileSystemError) {
        take()
        try base.replace(new, with: existing)
    }
    package func remove(_ path: FilePath) throws(FileSystemError) {
        take()
        try base.remove(path)
    }
    package func removeDirectory(_ path: FilePath) throws(FileSystemError) {
        take()
        try base.removeDirectory(path)
    }
    package func syncDirectory(_ path: FilePath) throws(FileSystemError) {
        take()
        try base.syncDirectory(path)
    }
    package func lock(_ path: FilePath) throws(FileSystemError) -> (any FileLock)? {
        take()
        return try base.lock(path)
    }
    package func record(inLock path: FilePath) -> [UInt8]? { base.record(inLock: path) }
    package func availableBytes(at path: FilePath) throws(FileSystemError) -> Int { .max }
}

private final class SlowWritableFile: WritableFile {
    private let base: any WritableFile
    private let storage: SharedStorage

    init(_ base: any WritableFile, _ storage: SharedStorage) {
        (self.base, self.storage) = (base, storage)
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileSystemError) {
        storage.take(written: bytes.count)
        unsafe try base.write(bytes, at: offset)
    }
    func truncate(to count: Int) throws(FileSystemError) { try base.truncate(to: count) }
    func sync() throws(FileSystemError) {
        storage.take()
        try base.sync()
    }
    func close() { base.close() }
}

private final class SlowReadableFile: ReadableFile {
    private let base: any ReadableFile
    private let storage: SharedStorage

    init(_ base: any ReadableFile, _ storage: SharedStorage) {
        (self.base, self.storage) = (base, storage)
    }

    var size: Int { base.size }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        storage.take(read: bytes.count)
        unsafe try base.read(into: bytes, at: offset)
    }
}
