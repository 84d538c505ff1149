public import CCheckpoint
internal import CheckpointFormat
internal import CheckpointStorage
internal import Checkpointing

extension CheckpointerHandle.Open {
    /// Returns a reference to the newest checkpoint of the run whose manifest can be read.
    fileprivate func resumeReference() throws(CheckpointError) -> String {
        let store = checkpointer.store
        if let name = try newest(in: store) { return "\(name.run):\(name.step)" }
        if let copy = try store.mirror?.openStore(), let name = try newest(in: copy) {
            return "\(name.run):\(name.step)"
        }
        throw CheckpointError(.notFound, "run \(checkpointer.runName) has no checkpoint")
    }

    /// Returns the newest intact checkpoint of the run; nil if there is none.
    private func newest(in store: CheckpointStore) throws(CheckpointError) -> ManifestName? {
        // Of several ranks, the manifest alone, without parts.
        try store.walkBack(true, PartFiles.Selection()) {
            manifest throws(CheckpointError) in manifest.name
        } among: { () throws(CheckpointError) in
            try store.runHistory().line(of: checkpointer.runName)
        }.result
    }
}

/// Resumes; see checkpoint.h.
@c @implementation
public func ckpt_resume(
    _ checkpointer: OpaquePointer?, _ mode: UInt32,
    _ report: UnsafeMutablePointer<ckpt_restore_report>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let strictness = try RestoreStrictness(number: mode)
        if let report = unsafe report { _ = unsafe try CallerMemory.size(report, "report") }
        try open.state.lendAgain()
        let found = try open.checkpointer.resume(mode: strictness.mode, types: strictness.types)
        let result = found?.structure ?? ckpt_restore_report()
        if let report = unsafe report {
            unsafe try CallerMemory.write(result, to: report, "report")
        }
    }
}

/// Names the checkpoint to resume from; see checkpoint.h.
@c @implementation
public func ckpt_resume_reference(
    _ checkpointer: OpaquePointer?, _ text: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        unsafe try setText(text, Array(try open.resumeReference().utf8))
    }
}

/// Restores; see checkpoint.h.
@c @implementation
public func ckpt_restore(
    _ checkpointer: OpaquePointer?, _ reference: UnsafePointer<CChar>?, _ mode: UInt32,
    _ report: UnsafeMutablePointer<ckpt_restore_report>?
) -> ckpt_status {
    unsafe turn(checkpointer) { open throws(CheckpointError) in
        let strictness = try RestoreStrictness(number: mode)
        let target = try StoreHandle.reference(
            unsafe CallerMemory.optionalText(reference, "reference"))
        if let report = unsafe report { _ = unsafe try CallerMemory.size(report, "report") }
        try open.state.lendAgain()
        let result = try open.checkpointer.restore(
            target, mode: strictness.mode, types: strictness.types
        ).structure
        if let report = unsafe report {
            unsafe try CallerMemory.write(result, to: report, "report")
        }
    }
}
