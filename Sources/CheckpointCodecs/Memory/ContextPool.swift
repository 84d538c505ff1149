internal import CZstd
internal import Glibc

/// A pool of objects that are expensive to create. Each is used by one thread at a time and then
/// kept. Thread-safe.
@safe
final class ContextPool<Context>: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private var idle: [Context] = []
    private let make: () -> Context?

    /// Creates an empty pool.
    ///
    /// - Parameter make: Creates an object; returns nil if the system refuses memory.
    init(_ make: @escaping () -> Context?) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        self.make = make
    }

    /// Takes an object out of the pool, or creates one; nil if the system refuses memory.
    func take() -> Context? { withLock { idle.popLast() } ?? make() }

    /// Returns an object to the pool.
    func give(_ context: Context) { withLock { idle.append(context) } }

    /// Creates the objects that a number of threads need, so that `take` does not create any later.
    /// Creates fewer if the system refuses memory.
    ///
    /// - Parameters:
    ///   - count: Number of threads.
    ///   - warmUp: Called with each object.
    func prepare(_ count: Int, _ warmUp: (Context) -> Void) {
        let contexts = (0..<count).compactMap { _ in take() }
        for context in contexts {
            warmUp(context)
            give(context)
        }
    }

    /// Runs `body` with an object of the pool.
    ///
    /// - Returns: The result of `body`; nil if the system refuses memory.
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
