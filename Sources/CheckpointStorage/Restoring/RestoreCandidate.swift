internal import CheckpointFormat

/// A checkpoint that may be restored, in the store or in its mirror.
struct RestoreCandidate: Equatable {
    var name: ManifestName
    var isInMirror = false

    private static let mirrored = "mirror "

    /// Creates a candidate.
    init(_ name: ManifestName, isInMirror: Bool = false) {
        (self.name, self.isInMirror) = (name, isInMirror)
    }

    /// Parses what `text` has written; nil if it is nothing of the kind.
    init?(_ text: String) {
        let isInMirror = text.hasPrefix(Self.mirrored)
        let text = isInMirror ? String(text.dropFirst(Self.mirrored.count)) : text
        guard let name = ManifestName(text) else { return nil }
        self.init(name, isInMirror: isInMirror)
    }

    var text: String { (isInMirror ? Self.mirrored : "") + "\(name)" }

    /// Puts checkpoints of the mirror between those of the store: the newer first, and of the same
    /// that of the store, which is nearer.
    ///
    /// - Parameters:
    ///   - own: those of the store, best first.
    ///   - copied: those of the mirror, best first.
    static func merged(_ own: [ManifestName], _ copied: [ManifestName]) -> [RestoreCandidate] {
        var merged: [RestoreCandidate] = []
        var copied = copied[...]
        for name in own {
            while let next = copied.first, next > name {
                merged.append(.init(next, isInMirror: true))
                copied.removeFirst()
            }
            merged.append(.init(name))
        }
        return merged + copied.map { .init($0, isInMirror: true) }
    }
}
