internal import CheckpointCodecs
public import CheckpointFormat
internal import CheckpointSegments
public import CheckpointState
internal import SystemPackage

/// A committed checkpoint of which a few tensors are read by name.
///
/// Of thousands of tensors, it opens in a fraction of the time that a `Checkpoint` takes, which
/// decodes the entries of all. Every byte that is read is checked in the same way. Calls may come
/// from any thread, and run concurrently.
///
///     let lookup = try store.lookup(.latest)
///     let bytes = try lookup.bytes(ofTensor: "wte.weight")
public struct TensorLookup: Sendable {
    private enum Content {
        case sparse(SparseManifest)
        /// A checkpoint of several ranks, whose tensors are put together from their parts.
        case whole(Checkpoint)
    }

    /// The store that holds it.
    public let store: CheckpointStore
    /// Newer checkpoints that `latest` skipped because they are damaged, newest first.
    public let skipped: [CheckpointError]
    private let content: Content

    fileprivate init(
        _ manifest: SparseManifest, in store: CheckpointStore, skipped: [CheckpointError]
    ) {
        (content, self.store, self.skipped) = (.sparse(manifest), store, skipped)
    }

    fileprivate init(_ checkpoint: Checkpoint) {
        content = .whole(checkpoint)
        (store, skipped) = (checkpoint.store, checkpoint.skipped)
    }

    /// The checkpoint's id.
    public var id: CheckpointID { rest.id }
    /// Number of updates made before the save.
    public var step: Int { rest.step }

    private var rest: Manifest {
        switch content {
        case .sparse(let manifest): manifest.rest
        case .whole(let checkpoint): checkpoint.manifest
        }
    }

    /// Decodes the entries of all tensors.
    ///
    /// - Returns: the same checkpoint.
    /// - Throws: codes `damaged` (an entry breaks a rule of the format), `io` (of the marks).
    public func checkpoint() throws(CheckpointError) -> Checkpoint {
        switch content {
        case .whole(let checkpoint): return checkpoint
        case .sparse(let sparse):
            let manifest = try translating(sparse) { sparse throws(FormatError) in
                try sparse.decoded(digest: Hashing.digest)
            }
            return try Checkpoint(manifest, in: store, skipped: skipped)
        }
    }

    /// Finds a tensor. Names are compared as UTF-8 bytes.
    ///
    /// - Parameter name: the tensor's name.
    /// - Returns: the tensor; nil if there is none of this name.
    /// - Throws: code `damaged` (its entry breaks a rule of the format).
    public func tensor(_ name: String) throws(CheckpointError) -> TensorInfo? {
        guard let index = try index(ofTensor: name) else { return nil }
        return try tensor(at: index)
    }

    /// Reads a tensor into the caller's memory; see `Checkpoint.read`.
    ///
    /// - Parameters:
    ///   - name: the tensor's name.
    ///   - destination: a view of the tensor's type and shape; any strides, any device.
    ///   - threads: number of reading threads, at least 1.
    /// - Throws: as `Checkpoint.read`.
    public func read(
        tensor name: String, into destination: TensorView, threads: Int = 2
    ) throws(CheckpointError) {
        try reader(of: name).read(tensor: name, into: destination, threads: threads)
    }

    /// Reads row-major little-endian bytes of a tensor; see `Checkpoint.bytes(ofTensor:range:)`.
    ///
    /// - Parameters:
    ///   - name: the tensor's name.
    ///   - range: offsets in bytes; nil means all of the tensor.
    /// - Returns: the bytes of the range.
    /// - Throws: as `Checkpoint.bytes(ofTensor:range:)`.
    public func bytes(
        ofTensor name: String, range: Range<Int>? = nil
    ) throws(CheckpointError) -> [UInt8] {
        try reader(of: name).bytes(ofTensor: name, range: range)
    }

    /// Number of tensors.
    public var tensorCount: Int {
        switch content {
        case .sparse(let sparse): sparse.tensorCount
        case .whole(let checkpoint): checkpoint.tensors.count
        }
    }

    /// Returns the place of a tensor in the list of all; nil if there is none of this name.
    package func index(ofTensor name: String) throws(CheckpointError) -> Int? {
        switch content {
        case .sparse(let sparse):
            try translating(sparse) { sparse throws(FormatError) in
                try sparse.index(ofTensor: name)
            }
        case .whole(let checkpoint):
            checkpoint.tensors.firstIndex { $0.name.isSameName(as: name) }
        }
    }

    /// Returns the tensor at a place in the list of all.
    package func tensor(at index: Int) throws(CheckpointError) -> TensorInfo {
        switch content {
        case .whole(let checkpoint): return checkpoint.tensors[index]
        case .sparse(let sparse):
            let manifest = try manifest(sparse, ofTensor: index)
            return TensorInfo(manifest.tensors[0], in: manifest)
        }
    }

    /// Returns what reads a tensor; all tensors, for the error, if there is none of the name.
    private func reader(of name: String) throws(CheckpointError) -> TensorReader {
        guard case .sparse(let sparse) = content, let index = try index(ofTensor: name) else {
            return TensorReader(store: store, manifest: try checkpoint().manifest)
        }
        return TensorReader(store: store, manifest: try manifest(sparse, ofTensor: index))
    }

    private func manifest(
        _ sparse: SparseManifest, ofTensor index: Int
    ) throws(CheckpointError) -> Manifest {
        try translating(sparse) { sparse throws(FormatError) in
            try sparse.manifest(ofTensor: index)
        }
    }

    private func translating<R>(
        _ sparse: SparseManifest, _ body: (SparseManifest) throws(FormatError) -> R
    ) throws(CheckpointError) -> R {
        do { return try body(sparse) } catch {
            let path = store.directories.path(of: sparse.rest.name)
            throw CheckpointError(error, path: path.string)
        }
    }
}

extension CheckpointStore {
    /// Opens a checkpoint to read a few of its tensors.
    ///
    /// For `latest` this is the newest checkpoint whose manifest has the right hash.
    ///
    /// - Parameter reference: the checkpoint to open.
    /// - Returns: the checkpoint. No file stays open.
    /// - Throws: codes `notFound`, `damaged`, `unsupported`, `io`.
    public func lookup(
        _ reference: CheckpointReference = .latest
    ) throws(CheckpointError) -> TensorLookup {
        let (found, skipped) = try walkBack(reference.walksBack) { () throws(CheckpointError) in
            try candidates(reference)
        } reading: { name throws(CheckpointError) -> (SparseManifest?, Manifest?)? in
            if let sparse = try files.loadSparse(name) { return (sparse, nil) }
            return (nil, try files.load(name).manifest)
        }
        switch found {
        case (let sparse?, _)?: return TensorLookup(sparse, in: self, skipped: skipped)
        case (_, let manifest?)?:
            return TensorLookup(try Checkpoint(manifest, in: self, skipped: skipped))
        default: throw try missing(reference, skipped)
        }
    }
}
