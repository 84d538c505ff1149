internal import CheckpointStorage
#if ObjectStorage
    internal import CheckpointObjects
#endif

/// The place of a store or of a mirror, as callers write it: a directory, or `s3://BUCKET/PREFIX`.
///
/// A library built without the trait ObjectStorage has directories and no mirrors.
struct StorePlace: Sendable {
    let text: String

    /// - Throws: code `misuse` if the text is empty.
    init(_ text: String) throws(CheckpointError) {
        guard !text.isEmpty else { throw .argument("the path is empty") }
        self.text = text
    }

    /// Opens the store.
    ///
    /// - Parameters:
    ///   - access: the rights to take.
    ///   - ranks: the processes that save together; nil if this one saves alone.
    ///   - mirror: a second copy elsewhere; only of a directory.
    ///   - onWarning: called with problems that do not prevent opening; from any thread.
    /// - Throws: codes as `CheckpointStore.open`.
    func open(
        for access: CheckpointStore.Access, ranks: RankGroup? = nil,
        mirror: (any CheckpointMirror)? = nil, onWarning: @escaping @Sendable (String) -> Void
    ) throws(CheckpointError) -> CheckpointStore {
        guard isBucket else {
            return try CheckpointStore.open(
                text, for: access, ranks: ranks, mirror: mirror, onWarning: onWarning)
        }
        guard mirror == nil else {
            throw .argument(
                "a mirror of \(text) is asked for, which is itself in object storage",
                remedy: "Mirror a store in a directory")
        }
        #if ObjectStorage
            return try CheckpointStore.open(
                try location(), for: access, ranks: ranks, onWarning: onWarning)
        #else
            throw Self.notBuilt
        #endif
    }

    private var isBucket: Bool {
        #if ObjectStorage
            S3Location.isMeant(by: text)
        #else
            text.hasPrefix("s3://")
        #endif
    }

    #if ObjectStorage
        /// Describes the mirror at this place.
        ///
        /// - Parameters:
        ///   - bytesPerSecond: maximum speed; nil for none.
        ///   - policy: the checkpoints that it keeps; nil for all.
        /// - Throws: code `misuse`.
        func mirror(
            bytesPerSecond: Int?, keeping policy: RetentionPolicy?
        ) throws(CheckpointError) -> any CheckpointMirror {
            let place = isBucket ? StoreMirror.Place.bucket(try location()) : .directory(text)
            return BackgroundMirror(place, bytesPerSecond: bytesPerSecond, keeping: policy)
        }

        private func location() throws(CheckpointError) -> S3Location {
            guard let location = S3Location(text) else {
                throw .argument(
                    "\(text) is not the location of a store",
                    remedy: "Write s3://BUCKET/PREFIX, without empty parts, \".\" or \"..\"")
            }
            return location
        }
    #else
        func mirror(
            bytesPerSecond: Int?, keeping policy: RetentionPolicy?
        ) throws(CheckpointError) -> any CheckpointMirror {
            throw Self.notBuilt
        }

        private static var notBuilt: CheckpointError {
            CheckpointError(
                .unsupported, "this libcheckpoint.so has neither object storage nor mirrors",
                remedy: "Use the one in the wheel of the Python package")
        }
    #endif
}
