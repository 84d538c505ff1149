internal import CheckpointStorage

/// A step in the life of a save, as its observers see it.
enum SaveEvent {
    case started(SaveTask)
    case progress(SaveTask, writtenBytes: Int)
    case captured(SaveTask)
    case durable(SaveTask)
    case committed(SaveTicket, SaveReport)
    case mirrored(step: Int, newBytes: Int)
    case failed(SaveTicket, CheckpointError)
    case warning(String)
}

extension SaveEvent {
    /// The event of the public interface.
    var published: CheckpointEvent {
        switch self {
        case .started(let task): .started(step: task.ticket.step, id: task.ticket.id)
        case .progress(let task, let bytes):
            .progress(
                step: task.ticket.step, writtenBytes: bytes, totalBytes: task.plan.totalBytes)
        case .captured(let task): .captured(step: task.ticket.step)
        case .durable(let task): .durable(step: task.ticket.step)
        case .committed(_, let report): .committed(report)
        case .mirrored(let step, let bytes): .mirrored(step: step, newBytes: bytes)
        case .failed(let ticket, let error): .failed(step: ticket.step, error)
        case .warning(let message): .warning(message)
        }
    }
}
