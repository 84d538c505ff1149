internal import CheckpointFormat
package import CheckpointState

/// The comparison of a state with a checkpoint by names, types and shapes. Pure.
package struct RestoreMatch {
    /// A name that only one side has.
    private struct Name: Hashable {
        /// The bytes: Swift treats strings as equal that spell an accented letter in different ways.
        var bytes: [UInt8]
        init(_ name: String) { bytes = Array(name.utf8) }
    }

    /// Names of the tensors and objects of the state that the checkpoint lacks, tensors first.
    package private(set) var missing: [String] = []
    /// Names of the tensors and objects that the state lacks, tensors first.
    package private(set) var unexpected: [String] = []
    /// Tensors of both sides that differ in type or shape, with the difference.
    private var unlike: [(name: String, text: String)] = []
    /// Items of the state that the checkpoint has.
    package private(set) var tensors: [TensorItem] = []
    package private(set) var objects: [(item: ObjectItem, record: ObjectRecord)] = []

    /// Compares a state with a checkpoint, by names, types and shapes.
    ///
    /// - Parameters:
    ///   - inventory: the state.
    ///   - manifest: the checkpoint.
    ///   - pattern: only names that match count, on both sides; nil means all.
    package init(_ inventory: StateInventory, _ manifest: Manifest, _ pattern: NamePattern?) {
        var records = Dictionary(
            manifest.tensors.map { (Name($0.name), $0) }, uniquingKeysWith: { first, _ in first })
        for item in inventory.tensors where pattern?.matches(item.name) ?? true {
            guard let record = records.removeValue(forKey: Name(item.name)) else {
                missing.append(item.name)
                continue
            }
            tensors.append(item)
            guard record.type != item.view.type || record.shape != item.shape else { continue }
            unlike.append(
                (
                    item.name,
                    "\(record.type) \(record.shape) in the checkpoint and \(item.view.type) \(item.shape) in the state"
                ))
        }
        unexpected = manifest.tensors.filter {
            records[Name($0.name)] != nil && pattern?.matches($0.name) ?? true
        }.map(\.name)
        var objectRecords = Dictionary(
            manifest.objects.map { (Name($0.name), $0) }, uniquingKeysWith: { first, _ in first })
        for item in inventory.objects where pattern?.matches(item.name) ?? true {
            guard let record = objectRecords.removeValue(forKey: Name(item.name)) else {
                missing.append(item.name)
                continue
            }
            objects.append((item, record))
        }
        let others = manifest.objects.filter {
            objectRecords[Name($0.name)] != nil && pattern?.matches($0.name) ?? true
        }
        if let receiver = inventory.objectReceiver {
            objects += others.map { (receiver.item($0.name, $0.role, $0.encoding), $0) }
        } else {
            unexpected += others.map(\.name)
        }
    }

    /// Returns the error that lists every difference; nil if the two fit.
    ///
    /// - Parameters:
    ///   - mode: whether names that only one side has are differences.
    ///   - step: the checkpoint's step, for the message.
    package func mismatch(_ mode: RestoreMode, step: Int) -> CheckpointError? {
        let missing = mode == .partial ? [] : missing
        let unexpected = mode == .strict ? unexpected : []
        guard !missing.isEmpty || !unexpected.isEmpty || !unlike.isEmpty else { return nil }
        var parts: [String] = []
        if !missing.isEmpty {
            parts.append(
                "\(missing.count) missing from the checkpoint: " + Self.list(missing, withNearest))
        }
        if !unexpected.isEmpty {
            parts.append(
                "\(unexpected.count) only in the checkpoint: " + Self.list(unexpected) { $0 })
        }
        if !unlike.isEmpty {
            parts.append(
                "\(unlike.count) of a different type or shape: "
                    + Self.list(unlike) { "\($0.name) is \($0.text)" })
        }
        let only =
            unlike.isEmpty
            ? "Describe the state as it was saved, or restore with mode .partial"
            : "Describe the state as it was saved"
        var error = CheckpointError(
            .mismatch,
            "the state does not fit the checkpoint of step \(step): "
                + parts.joined(separator: "; "),
            remedy: only, names: missing + unexpected + unlike.map(\.name))
        error.messageHasNames = true
        return error
    }

    private static let shownMax = 8

    private static func list<T>(_ items: [T], _ text: (T) -> String) -> String {
        let shown = items.prefix(shownMax).map(text).joined(separator: ", ")
        return items.count > shownMax ? "\(shown) and \(items.count - shownMax) more" : shown
    }

    /// Returns a missing name with the one in the checkpoint that it is most likely meant to be.
    private func withNearest(_ name: String) -> String {
        let pool = Array(unexpected.prefix(2000))
        let lastPart = name.split(separator: ".").last.map(String.init) ?? name
        let candidates = pool.filter { $0.hasSuffix(lastPart) }
        let near = Nearest.byDistance(name, candidates.isEmpty ? pool : candidates, atMost: 1)
        return near.first.map { "\(name) (nearest: \($0))" } ?? name
    }
}
