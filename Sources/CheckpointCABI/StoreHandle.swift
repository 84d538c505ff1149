public import CCheckpoint
internal import CheckpointFormat
internal import CheckpointMaintenance
internal import CheckpointStorage
internal import Foundation
internal import Logging

/// The object of a `ckpt_store` handle.
final class StoreHandle: Sendable {
    let store: CheckpointStore
    private let place: StorePlace

    /// Opens a store; problems that prevent nothing are logged to standard error.
    ///
    /// - Parameters:
    ///   - path: a directory, or `s3://BUCKET/PREFIX`.
    ///   - access: the rights to take.
    ///   - ranks: the processes that save together; nil if this one saves alone.
    ///   - mirror: a second copy elsewhere.
    init(
        path: String, for access: CheckpointStore.Access, ranks: RankGroup? = nil,
        mirror: (any CheckpointMirror)? = nil
    ) throws(CheckpointError) {
        let logger = Logger(label: "ckpt")
        place = try StorePlace(path)
        store = try place.open(for: access, ranks: ranks, mirror: mirror) {
            logger.warning("\($0)")
        }
    }

    /// Opens a checkpoint, in the mirror if only that has it intact.
    func lookup(_ reference: CheckpointReference) throws(CheckpointError) -> TensorLookup {
        do throws(CheckpointError) { return try store.lookup(reference) } catch {
            guard error.code == .notFound || error.code == .damaged,
                let copy = try store.mirror?.openStore()
            else { throw error }
            return try copy.lookup(reference)
        }
    }

    /// Deletes a checkpoint, while the program may save to the store.
    func remove(_ target: CheckpointReference, isForced: Bool) throws(CheckpointError) {
        let report = try maintained().remove([target], isForced: isForced)
        if report.checkpoints.contains(where: { $0.outcome == .inUse }) {
            throw CheckpointError(
                .busy, "a reader or a save in flight uses step \(report.checkpoints[0].step)",
                remedy: "Try again later", path: place.text)
        }
    }

    /// Removes what no rule keeps, while the program may save to the store.
    func prune(
        _ policy: RetentionPolicy, isDryRun: Bool
    ) throws(CheckpointError) -> PruneReport {
        if isDryRun { return try store.prune(policy, isDryRun: true) }
        return try maintained().prune(policy)
    }

    private func maintained() throws(CheckpointError) -> CheckpointStore {
        guard store.access != .reading else {
            throw .argument("the store is open for reading only")
        }
        return try place.open(for: .maintaining) { _ in }
    }

    /// Parses a reference; nil means the newest checkpoint.
    static func reference(_ text: String?) throws(CheckpointError) -> CheckpointReference {
        guard let text else { return .latest }
        guard let reference = CheckpointReference(text) else {
            throw .argument(
                "\"\(text)\" does not name a checkpoint",
                remedy: "Give latest, a step, RUN:STEP, a tag, an id or best:METRIC")
        }
        return reference
    }

    fileprivate static func tag(_ text: String) throws(CheckpointError) -> TagName {
        do throws(TagName.Refusal) { return try TagName(checking: text) } catch {
            throw .argument(error.description)
        }
    }
}

extension CheckpointSummary {
    /// The summary as a structure of checkpoint.h.
    var structure: ckpt_summary {
        var summary = ckpt_summary()
        summary.step = Int64(step)
        summary.created_ms = createdMilliseconds
        summary.tensor_count = UInt64(clamping: tensorCount)
        summary.object_count = UInt64(clamping: objectCount)
        summary.logical_bytes = UInt64(clamping: logicalBytes)
        summary.stored_bytes = UInt64(clamping: storedBytes)
        summary.is_pinned = isPinned ? 1 : 0
        summary.is_copy = isCopy ? 1 : 0
        CallerMemory.put(id.description, in: &summary.id)
        CallerMemory.put(run.description, in: &summary.restart)
        CallerMemory.put(runName, in: &summary.run)
        return summary
    }

    private var createdMilliseconds: Int64 {
        Int64((created.timeIntervalSince1970 * 1000).rounded())
    }

    /// The members of the summary in JSON.
    var members: [JSONValue.Member] {
        [
            .init("id", .hex(id)), .init("restart", .hex(run)), .init("run", .string(runName)),
            .init("step", .count(step)), .init("created_ms", .integer(createdMilliseconds)),
            .init(
                "metrics",
                .object(metrics.sorted { $0.key < $1.key }.map { .init($0.key, .metric($0.value)) })
            ),
            .init("tags", .array(tags.map { .string($0) })), .init("pinned", .bool(isPinned)),
            .init("copy", .bool(isCopy)), .init("tensors", .count(tensorCount)),
            .init("objects", .count(objectCount)), .init("logical_bytes", .count(logicalBytes)),
            .init("stored_bytes", .count(storedBytes)),
        ]
    }
}

/// Sets a text that the caller frees.
func setText(
    _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ value: [UInt8]
) throws(CheckpointError) {
    let out = unsafe try CallerMemory.required(text, "text")
    unsafe out.pointee = try ReturnedMemory.copy(value).assumingMemoryBound(to: CChar.self)
}

/// Opens a store; see checkpoint.h.
@c @implementation
public func ckpt_store_open(
    _ path: UnsafePointer<CChar>?, _ access: UInt32,
    _ store: UnsafeMutablePointer<OpaquePointer?>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let out = unsafe try CallerMemory.required(store, "store")
        let rights: CheckpointStore.Access
        switch Int(access) {
        case CKPT_READING: rights = .reading
        case CKPT_WRITING: rights = .writing
        default: throw .argument("\(access) is not an access mode")
        }
        let handle = try StoreHandle(path: unsafe CallerMemory.text(path, "path"), for: rights)
        unsafe out.pointee = HandleTable.shared.add(handle)
    }
}

/// Opens a store in several processes; see checkpoint.h.
@c @implementation
public func ckpt_store_open_ranks(
    _ path: UnsafePointer<CChar>?, _ ranks: UnsafePointer<ckpt_ranks>?,
    _ store: UnsafeMutablePointer<OpaquePointer?>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let out = unsafe try CallerMemory.required(store, "store")
        let path = unsafe try CallerMemory.text(path, "path")
        let handle = try StoreHandle(path: path, for: .writing, ranks: unsafe RankGroup(ranks))
        unsafe out.pointee = HandleTable.shared.add(handle)
    }
}

/// Opens a store that has a mirror; see checkpoint.h.
@c @implementation
public func ckpt_store_open_mirrored(
    _ path: UnsafePointer<CChar>?, _ ranks: UnsafePointer<ckpt_ranks>?,
    _ mirror: UnsafePointer<ckpt_mirror>?, _ store: UnsafeMutablePointer<OpaquePointer?>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let out = unsafe try CallerMemory.required(store, "store")
        let path = unsafe try CallerMemory.text(path, "path")
        let group = unsafe ranks == nil ? nil : try RankGroup(ranks)
        let handle = try StoreHandle(
            path: path, for: .writing, ranks: group, mirror: unsafe StoreHandle.mirror(mirror))
        unsafe out.pointee = HandleTable.shared.add(handle)
    }
}

extension StoreHandle {
    /// The mirror of a structure of checkpoint.h.
    ///
    /// - Throws: code `misuse`; `unsupported` if the library has no mirrors.
    fileprivate static func mirror(
        _ pointer: UnsafePointer<ckpt_mirror>?
    ) throws(CheckpointError) -> any CheckpointMirror {
        guard let pointer = unsafe pointer else { throw .argument("the argument mirror is NULL") }
        let raw = unsafe UnsafeRawPointer(pointer)
        let size = unsafe try CallerMemory.size(raw, "mirror")
        let given = unsafe CallerMemory.read(raw, zero: ckpt_mirror(), size: size)
        let place = try StorePlace(unsafe CallerMemory.text(given.place, "mirror.place"))
        let speed = unsafe given.bytes_per_second
        return try place.mirror(
            bytesPerSecond: speed == 0 ? nil : Int(clamping: speed),
            keeping: unsafe given.rules == nil ? nil : RetentionPolicy(given.rules))
    }
}

extension RankGroup {
    /// The processes of a structure of checkpoint.h.
    ///
    /// - Throws: code `misuse`.
    fileprivate init(_ pointer: UnsafePointer<ckpt_ranks>?) throws(CheckpointError) {
        guard let pointer = unsafe pointer else { throw .argument("the argument ranks is NULL") }
        let raw = unsafe UnsafeRawPointer(pointer)
        let size = unsafe try CallerMemory.size(raw, "ranks")
        let given = unsafe CallerMemory.read(raw, zero: ckpt_ranks(), size: size)
        let launch = unsafe try CallerMemory.optionalText(given.launch, "ranks.launch") ?? ""
        self.init(
            rank: unsafe Int(given.rank), worldSize: unsafe Int(given.world_size), launch: launch)
        if unsafe given.seconds != 0 { timeout = try CallerMemory.duration(unsafe given.seconds) }
        if unsafe given.start_seconds != 0 {
            startTimeout = try CallerMemory.duration(unsafe given.start_seconds)
        }
    }
}

/// Closes a store; see checkpoint.h.
@c @implementation
public func ckpt_store_close(_ store: OpaquePointer?) -> ckpt_status {
    Call.end { () throws(CheckpointError) in
        guard unsafe store != nil else { return }
        let handle = unsafe try HandleTable.shared.object(store, StoreHandle.self)
        try handle.store.close()
        _ = unsafe try HandleTable.shared.remove(store, StoreHandle.self)
    }
}

/// Lists checkpoints; see checkpoint.h.
@c @implementation
public func ckpt_store_list(
    _ store: OpaquePointer?, _ summaries: UnsafeMutablePointer<ckpt_summary>?, _ capacity: Int,
    _ count: UnsafeMutablePointer<Int>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let store = unsafe try HandleTable.shared.object(store, StoreHandle.self).store
        let capacity = unsafe try CallerMemory.count(
            capacity, at: summaries, max: .max >> 17, "summaries")
        let found = try store.checkpoints().compactMap { result in
            if case .success(let summary) = result { summary } else { nil }
        }
        if capacity > 0, let summaries = unsafe summaries {
            let first = UnsafeMutableRawPointer(summaries)
            let stride = unsafe try CallerMemory.size(UnsafeRawPointer(first), "summaries")
            for (index, summary) in found.prefix(capacity).enumerated() {
                unsafe (first + index * stride).storeBytes(of: UInt(stride), as: UInt.self)
                unsafe CallerMemory.write(
                    summary.structure, to: first + index * stride, size: stride)
            }
        }
        if let count = unsafe count { unsafe count.pointee = found.count }
    }
}

/// Lists checkpoints as JSON; see checkpoint.h.
@c @implementation
public func ckpt_store_list_json(
    _ store: OpaquePointer?, _ limit: Int,
    _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let store = unsafe try HandleTable.shared.object(store, StoreHandle.self).store
        let results = limit > 0 ? try store.newest(limit) : try store.checkpoints()
        let list = results.map { result -> JSONValue in
            switch result {
            case .success(let summary): .object(summary.members)
            case .failure(let error): .object([.init("error", .string(error.description))])
            }
        }
        unsafe try setText(text, JSONValue.array(list).text)
    }
}

/// Tags a checkpoint; see checkpoint.h.
@c @implementation
public func ckpt_store_tag(
    _ store: OpaquePointer?, _ reference: UnsafePointer<CChar>?, _ tag: UnsafePointer<CChar>?,
    _ moves: UInt32
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let store = unsafe try HandleTable.shared.object(store, StoreHandle.self).store
        let target = try StoreHandle.reference(
            unsafe CallerMemory.optionalText(reference, "reference"))
        let name = try StoreHandle.tag(unsafe CallerMemory.text(tag, "tag"))
        try store.tag(target, name, force: moves != 0)
    }
}

/// Deletes a tag; see checkpoint.h.
@c @implementation
public func ckpt_store_untag(
    _ store: OpaquePointer?, _ tag: UnsafePointer<CChar>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let store = unsafe try HandleTable.shared.object(store, StoreHandle.self).store
        try store.removeTag(StoreHandle.tag(unsafe CallerMemory.text(tag, "tag")))
    }
}

/// Pins a checkpoint; see checkpoint.h.
@c @implementation
public func ckpt_store_pin(
    _ store: OpaquePointer?, _ reference: UnsafePointer<CChar>?, _ pinned: UInt32
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let store = unsafe try HandleTable.shared.object(store, StoreHandle.self).store
        let target = try StoreHandle.reference(
            unsafe CallerMemory.optionalText(reference, "reference"))
        if pinned != 0 { try store.pin(target) } else { try store.unpin(target) }
    }
}

/// Deletes a checkpoint; see checkpoint.h.
@c @implementation
public func ckpt_store_remove(
    _ store: OpaquePointer?, _ reference: UnsafePointer<CChar>?, _ forced: UInt32
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try HandleTable.shared.object(store, StoreHandle.self)
        let target = try StoreHandle.reference(unsafe CallerMemory.text(reference, "reference"))
        try handle.remove(target, isForced: forced != 0)
    }
}

/// Removes what no rule keeps; see checkpoint.h.
@c @implementation
public func ckpt_store_prune(
    _ store: OpaquePointer?, _ rules: UnsafePointer<ckpt_retention>?, _ isDryRun: UInt32,
    _ report: UnsafeMutablePointer<ckpt_prune_report>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let handle = unsafe try HandleTable.shared.object(store, StoreHandle.self)
        let policy = unsafe try RetentionPolicy(rules)
        if let report = unsafe report { _ = unsafe try CallerMemory.size(report, "report") }
        let result = try handle.prune(policy, isDryRun: isDryRun != 0)
        if let report = unsafe report {
            unsafe try CallerMemory.write(result.structure, to: report, "report")
        }
    }
}

extension RetentionPolicy {
    private static let bestMax = 64

    /// The rules of a structure of checkpoint.h.
    ///
    /// - Throws: code `misuse`.
    fileprivate init(_ pointer: UnsafePointer<ckpt_retention>?) throws(CheckpointError) {
        self.init()
        guard let pointer = unsafe pointer else { throw .argument("the argument rules is NULL") }
        let raw = unsafe UnsafeRawPointer(pointer)
        let size = unsafe try CallerMemory.size(raw, "rules")
        let given = unsafe CallerMemory.read(raw, zero: ckpt_retention(), size: size)
        if unsafe given.keep_last != 0 { keepLast = unsafe Int(clamping: given.keep_last) }
        if unsafe given.keep_every != 0 { keepEvery = unsafe Int(clamping: given.keep_every) }
        if unsafe given.keep_seconds != 0 { keepWithin = unsafe given.keep_seconds }
        let count = unsafe try CallerMemory.count(
            given.keep_best_count, at: given.keep_best, max: Self.bestMax, "rules.keep_best")
        for unsafe text in unsafe UnsafeBufferPointer(start: given.keep_best, count: count) {
            let text = unsafe try CallerMemory.text(text, "rules.keep_best")
            guard let best = Best(text) else {
                throw .argument(
                    "\"\(text)\" is not a rule for the best checkpoints",
                    remedy: "Give METRIC:N or METRIC:N:max, such as loss:3")
            }
            keepBest.append(best)
        }
    }
}

extension PruneReport {
    /// The report as a structure of checkpoint.h.
    fileprivate var structure: ckpt_prune_report {
        var report = ckpt_prune_report()
        report.kept_count = UInt64(clamping: checkpoints.count { !$0.reasons.isEmpty })
        report.removed_count = UInt64(clamping: removedCount)
        report.in_use_count = UInt64(clamping: checkpoints.count { $0.isInUse })
        report.freed_bytes = UInt64(clamping: freedBytes)
        return report
    }
}
