public import CCheckpoint
internal import CheckpointFormat
internal import CheckpointStorage
internal import Checkpointing

/// The object of a `ckpt_ticket` handle.
final class TicketHandle: Sendable {
    let ticket: SaveTicket

    init(_ ticket: SaveTicket) { self.ticket = ticket }

    fileprivate static func find(_ handle: OpaquePointer?) throws(CheckpointError) -> SaveTicket {
        unsafe try HandleTable.shared.object(handle, TicketHandle.self).ticket
    }
}

extension SaveReport {
    /// The report as a structure of checkpoint.h.
    fileprivate var structure: ckpt_save_report {
        var report = ckpt_save_report()
        report.step = Int64(step)
        report.logical_bytes = UInt64(clamping: logicalBytes)
        report.stored_bytes = UInt64(clamping: storedBytes)
        report.new_bytes = UInt64(clamping: newBytes)
        report.reused_bytes = UInt64(clamping: reusedBytes)
        report.captured_seconds = timeToCaptured / .seconds(1)
        report.durable_seconds = timeToDurable / .seconds(1)
        report.committed_seconds = timeToCommitted / .seconds(1)
        report.stall_submit_seconds = stallSubmit / .seconds(1)
        report.stall_fence_seconds = stallFence / .seconds(1)
        report.stall_disk_seconds = stallBackpressure / .seconds(1)
        report.is_unchanged = isUnchanged ? 1 : 0
        CallerMemory.put(id.description, in: &report.id)
        return report
    }
}

/// Waits for a save; see checkpoint.h.
@c @implementation
public func ckpt_ticket_wait(
    _ ticket: OpaquePointer?, _ state: UInt32, _ seconds: Double
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let ticket = unsafe try TicketHandle.find(ticket)
        guard let goal = SaveTicket.Progress(rawValue: Int(state)) else {
            throw .argument("\(state) is not a state of a save")
        }
        try ticket.wait(for: goal, timeout: CallerMemory.duration(seconds))
    }
}

/// Gets the state of a save; see checkpoint.h.
@c @implementation
public func ckpt_ticket_state(
    _ ticket: OpaquePointer?, _ state: UnsafeMutablePointer<UInt32>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let ticket = unsafe try TicketHandle.find(ticket)
        // The failure is set before the state is read, so that "not failed" belongs to the state.
        let failure = ticket.failure
        let reached = UInt32(ticket.progress.rawValue)
        unsafe try CallerMemory.required(state, "state").pointee = reached
        if let failure { throw failure }
    }
}

/// Returns the failure of the save before; see checkpoint.h.
@c @implementation
public func ckpt_ticket_earlier_failure(_ ticket: OpaquePointer?) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        if let failure = unsafe try TicketHandle.find(ticket).earlierFailure { throw failure }
    }
}

/// Gets the result of a save; see checkpoint.h.
@c @implementation
public func ckpt_ticket_report(
    _ ticket: OpaquePointer?, _ report: UnsafeMutablePointer<ckpt_save_report>?
) -> ckpt_status {
    Call.run { () throws(CheckpointError) in
        let ticket = unsafe try TicketHandle.find(ticket)
        if let failure = ticket.failure { throw failure }
        guard let result = ticket.report else {
            throw CheckpointError(
                .timedOut, "step \(ticket.step) is not committed yet",
                remedy: "Wait for it with ckpt_ticket_wait")
        }
        unsafe try CallerMemory.write(result.structure, to: report, "report")
    }
}

/// Cancels a save; see checkpoint.h.
@c @implementation
public func ckpt_ticket_cancel(_ ticket: OpaquePointer?) -> ckpt_status {
    Call.run { () throws(CheckpointError) in unsafe try TicketHandle.find(ticket).cancel() }
}

/// Closes a ticket; see checkpoint.h.
@c @implementation
public func ckpt_ticket_close(_ ticket: OpaquePointer?) -> ckpt_status {
    Call.end { () throws(CheckpointError) in
        _ = unsafe try HandleTable.shared.remove(ticket, TicketHandle.self)
    }
}
