internal import CheckpointIO
internal import Foundation

/// A file that is read no faster than a limit, which all files of a mirror share.
final class LimitedFile: ReadableFile {
    private let file: any ReadableFile
    private let limiter: Monitor<RateLimiter>

    init(_ file: any ReadableFile, _ limiter: Monitor<RateLimiter>) {
        (self.file, self.limiter) = (file, limiter)
    }

    var size: Int { file.size }

    func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws(FileSystemError) {
        let count = bytes.count
        let delay = limiter.withLock { $0.delay(before: count, now: .now) }
        if delay > .zero { Thread.sleep(forTimeInterval: delay / .seconds(1)) }
        unsafe try file.read(into: bytes, at: offset)
    }
}
