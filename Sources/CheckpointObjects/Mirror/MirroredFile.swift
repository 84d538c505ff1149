internal import CheckpointIO
internal import CheckpointStorage
internal import Foundation
internal import SystemPackage

/// A file of the store while it is sent: read no faster than a limit, which all files of a mirror
/// share, and no longer than until the mirror is to stop.
final class MirroredFile: ReadableFile {
    private let file: any ReadableFile
    private let path: FilePath
    private let limiter: Monitor<RateLimiter>?
    private let cancellation: Cancellation

    /// Longest time until a request to stop is noticed, in seconds.
    private static let slice = 0.1

    init(
        _ file: any ReadableFile, _ path: FilePath, _ limiter: Monitor<RateLimiter>?,
        _ cancellation: Cancellation
    ) {
        (self.file, self.path) = (file, path)
        (self.limiter, self.cancellation) = (limiter, cancellation)
    }

    var size: Int { file.size }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        let count = bytes.count
        let delay = limiter?.withLock { $0.delay(before: count, now: .now) } ?? .zero
        let end = ContinuousClock.now + delay
        while true {
            if cancellation.isCancelled { throw FileSystemError("reading", path, .canceled) }
            let rest = ContinuousClock.now.duration(to: end) / .seconds(1)
            guard rest > 0 else { break }
            Thread.sleep(forTimeInterval: min(rest, Self.slice))
        }
        unsafe try file.read(into: bytes, at: offset)
    }
}
