internal import CZstd
internal import Glibc

/// Compression contexts, each used by one thread at a time and kept: making one costs as much as compressing a small block.
@safe
final class ZstdContexts: @unchecked Sendable {
    static let shared = ZstdContexts()

    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var idle: [OpaquePointer] = unsafe []

    private init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
    }

    /// - Returns: nil if the system refuses memory for a context.
    func withContext<R>(_ body: (OpaquePointer) -> R) -> R? {
        guard let context = unsafe withLock({ unsafe idle.popLast() }) ?? ZSTD_createCCtx() else { return nil }
        defer { withLock { unsafe idle.append(context) } }
        return unsafe body(context)
    }

    private func withLock<R>(_ body: () -> R) -> R {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body()
    }
}
