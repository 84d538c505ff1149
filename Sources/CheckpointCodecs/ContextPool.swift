internal import CZstd
internal import Glibc

/// Objects that are costly to make, each used by one thread at a time and kept.
@safe
final class ContextPool<Context>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var idle: [Context] = []
    private let make: () -> Context?

    /// - Parameter make: nil if the system refuses memory.
    init(_ make: @escaping () -> Context?) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        self.make = make
    }

    /// A context that nobody else uses, or nil if the system refuses memory for one.
    func take() -> Context? { withLock { idle.popLast() } ?? make() }

    func give(_ context: Context) { withLock { idle.append(context) } }

    /// Makes what `count` threads need, so that none does later; fewer if the system refuses memory.
    func prepare(_ count: Int, _ warmUp: (Context) -> Void) {
        let contexts = (0..<count).compactMap { _ in take() }
        for context in contexts {
            warmUp(context)
            give(context)
        }
    }

    /// - Returns: nil if the system refuses memory for a context.
    func withContext<R>(_ body: (Context) -> R) -> R? {
        guard let context = take() else { return nil }
        defer { give(context) }
        return body(context)
    }

    private func withLock<R>(_ body: () -> R) -> R {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body()
    }
}

/// Zstandard's contexts: making one costs as much as coding a small block.
enum ZstdContexts {
    static let compressors = unsafe ContextPool<OpaquePointer> { unsafe ZSTD_createCCtx() }
    static let decompressors = unsafe ContextPool<OpaquePointer> { unsafe ZSTD_createDCtx() }
}
