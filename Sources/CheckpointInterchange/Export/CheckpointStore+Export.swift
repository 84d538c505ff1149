internal import CheckpointSegments
public import CheckpointStorage
internal import Foundation
internal import SystemPackage

extension CheckpointStore {
    /// Exports the tensors of a checkpoint as safetensors.
    ///
    /// If `path` ends in `.safetensors` the export is one file; otherwise it is a directory of
    /// shards with an index, as transformers reads it. It appears under its name when it is
    /// complete and durable, or not at all. Every byte is checked against its hash. For `latest`,
    /// damaged checkpoints are skipped. Memory use is independent of tensor size.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint to export.
    ///   - path: the file or directory to make, outside the store.
    ///   - options: the tensors to export, and how.
    ///   - onSkip: called with the damage of each checkpoint that is skipped.
    /// - Returns: the files and tensors written.
    /// - Throws: codes `notFound`, `damaged`, `exists` (the path exists), `misuse` (the path is
    ///   inside the store; two tensors would get one name),
    ///   `noSpace`, `readOnly`, `io`, `cancelled`.
    @discardableResult
    public func export(
        _ reference: CheckpointReference = .latest, to path: String,
        options: ExportOptions = ExportOptions(), onSkip: (CheckpointError) -> Void = { _ in }
    ) throws(CheckpointError) -> ExportReport {
        try requireOutside(path)
        let export = SafetensorsExport(path: path, options: options)
        var (report, skipped) = try withCheckpoint(reference, onSkip: onSkip) {
            checkpoint throws(CheckpointError) in try export.run(checkpoint)
        }
        report.skipped = skipped
        return report
    }

    /// Exports tensors as plain files: one raw, little-endian, row-major file per tensor.
    ///
    /// `index.json` maps names to files and contains the objects; it is written last, so a
    /// directory without it is incomplete. Every byte is checked against its hash. For `latest`,
    /// damaged checkpoints are skipped.
    ///
    /// - Parameters:
    ///   - reference: the checkpoint to export.
    ///   - path: a new or empty directory, outside the store.
    ///   - format: format of the tensors' files.
    ///   - tensors: patterns of names; all tensors if there is none.
    ///   - sharesFiles: whether tensors of equal content, as tied weights are, share one file.
    ///   - onSkip: called with the damage of each checkpoint that is skipped.
    ///   - cancellation: stops the export, which then leaves nothing behind.
    ///   - onProgress: called with the bytes of tensors written so far, and their total.
    /// - Returns: the number and size of the tensors written.
    /// - Throws: codes `notFound`, `damaged`, `misuse` (the path is not an empty directory, or is
    ///   inside the store), `noSpace`, `readOnly`, `io`, `cancelled`.
    @discardableResult
    public func exportRaw(
        _ reference: CheckpointReference = .latest, to path: String, as format: RawFormat = .raw,
        tensors: [NamePattern] = [], sharesFiles: Bool = false,
        onSkip: (CheckpointError) -> Void = { _ in }, cancellation: Cancellation = Cancellation(),
        onProgress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> RawExportReport {
        try requireOutside(path)
        var (report, skipped) = try withCheckpoint(reference, onSkip: onSkip) {
            checkpoint throws(CheckpointError) in
            let records = try checkpoint.manifest.tensors(matching: tensors)
            var export = try RawExport(
                of: checkpoint, to: path, as: format, sharesFiles: sharesFiles,
                cancellation: cancellation, onProgress: onProgress)
            return try translating("exporting") {
                do { return try export.write(records) } catch {
                    export.undo()
                    throw error
                }
            }
        }
        report.skipped = skipped
        return report
    }

    /// Refuses to write an export into the store.
    /// - Throws: code `misuse`.
    package func requireOutside(_ path: String) throws(CheckpointError) {
        func resolved(_ path: String) -> String {
            let url = URL(fileURLWithPath: path).standardizedFileURL
            // A path that does not exist is not a link; its directory may be one.
            let parent = url.deletingLastPathComponent().resolvingSymlinksInPath()
            return parent.appendingPathComponent(url.lastPathComponent)
                .resolvingSymlinksInPath().path
        }
        let (inner, outer) = (resolved(path), resolved(directories.root.string))
        guard inner != outer, !inner.hasPrefix(outer + "/") else {
            throw CheckpointError(
                .misuse, "\(path) is inside the store",
                remedy: "Choose a path outside the store with -o", path: path)
        }
    }
}
