import CheckpointIO
import SystemPackage
@testable import CheckpointObjects

/// Objects in memory, with the faults of real stores.
final class InMemoryObjectStore: ObjectStore {
    /// A fault of a store.
    enum Fault {
        /// It overwrites an object although the request forbids that.
        case ignoresCondition
        /// It keeps the condition, unless several create at the same time.
        case losesRaces
        /// It returns the beginning of an object for any range.
        case ignoresRanges
    }

    private struct State {
        var objects: [String: [UInt8]] = [:]
        /// Number of creates of each key.
        var creates: [String: Int] = [:]
        /// Ages of objects, where a test has set one.
        var ages: [String: Duration] = [:]
        var isStopped = false
    }

    private let fault: Fault?
    private let state = Monitor(State(), rank: .unchecked)

    init(_ fault: Fault? = nil) { self.fault = fault }

    /// Returns a store with the same objects.
    func copy() -> InMemoryObjectStore {
        let copy = InMemoryObjectStore(fault)
        let objects = state.withLock { $0.objects }
        copy.state.withLock { $0.objects = objects }
        return copy
    }

    var keys: [String] { state.withLock { $0.objects.keys.sorted() } }

    /// Makes an object older than it is.
    func age(_ key: String, _ age: Duration) { state.withLock { $0.ages[key] = age } }

    func age(of key: String) -> Duration? { state.withLock { $0.ages[key] } }

    /// Whether it refuses to write.
    var isStopped: Bool {
        get { state.withLock { $0.isStopped } }
        set { state.withLock { $0.isStopped = newValue } }
    }

    let description = "memory://objects"

    func create(_ key: String, _ content: [UInt8]) throws(ObjectStoreError) {
        if fault == .losesRaces {
            // The first two of a key come at the same time, and both win.
            let isWon = state.withLock { state in
                state.creates[key, default: 0] += 1
                guard state.creates[key, default: 0] <= 2 else { return false }
                state.objects[key] = content
                return true
            }
            guard isWon else { throw ObjectStoreError(.exists, "PUT", key, "taken") }
            return
        }
        try state.withLock { state throws(ObjectStoreError) in
            if fault != .ignoresCondition, let found = state.objects[key], found != content {
                throw ObjectStoreError(.exists, "PUT", key, "taken")
            }
            state.objects[key] = content
        }
    }

    func upload(_ key: String, from source: any ReadableFile) throws(ObjectStoreError) {
        do {
            let bytes = try source.read(count: source.size, at: 0)
            let isWritten = state.withLock { state in
                guard !state.isStopped else { return false }
                state.objects[key] = bytes
                state.ages[key] = nil
                return true
            }
            guard isWritten else { throw FileSystemError("PUT", FilePath(key), .ioError) }
        } catch { throw ObjectStoreError(.failed, "PUT", key, "\(error)") }
    }

    func read(
        into bytes: UnsafeMutableRawBufferPointer, from key: String, at offset: Int
    ) throws(ObjectStoreError) {
        guard let found = state.withLock({ $0.objects[key] }) else {
            throw ObjectStoreError(.notFound, "GET", key, "missing")
        }
        let start = fault == .ignoresRanges ? 0 : offset
        guard start + bytes.count <= found.count else {
            throw ObjectStoreError(.failed, "GET", key, "too short")
        }
        unsafe bytes.copyBytes(from: found[start..<(start + bytes.count)])
    }

    func size(of key: String) -> Int? { state.withLock { $0.objects[key]?.count } }

    func list(_ prefix: String, limit: Int?) -> ObjectListing {
        var listing = ObjectListing()
        for key in keys where key.hasPrefix(prefix) {
            let rest = key.dropFirst(prefix.count)
            if let slash = rest.firstIndex(of: "/") {
                let name = String(rest[..<slash])
                if listing.prefixes.last != name { listing.prefixes.append(name) }
            } else {
                listing.objects.append(String(rest))
                listing.ages[String(rest)] = state.withLock { $0.ages[key] } ?? .zero
            }
        }
        return listing
    }

    func remove(_ key: String) { state.withLock { $0.objects[key] = nil } }
}
