internal import Checkpointing
internal import ReferenceModel

/// The processes that `mpirun` has started, as the checkpoint engine sees them.
struct MPIGroup: ProcessGroup {
    let mpi: MPI
    var rank: Int { mpi.rank }
    var worldSize: Int { mpi.worldSize }

    /// Size of a message on its way: two bytes say how long it is.
    private static let messageBytes = 8192

    func allGather(
        _ bytes: [UInt8], deadline: ContinuousClock.Instant
    ) throws -> [[UInt8]] {
        guard bytes.count + 2 <= Self.messageBytes else {
            throw MPI.Failure(
                "a message of \(bytes.count) bytes is longer than \(Self.messageBytes - 2) bytes")
        }
        let length = [UInt8(bytes.count & 0xFF), UInt8(bytes.count >> 8)]
        let padding = [UInt8](repeating: 0, count: Self.messageBytes - bytes.count - 2)
        let seconds = max((deadline - .now) / .seconds(1), 0)
        let all = try mpi.allGather(length + bytes + padding, on: .engine, seconds: seconds)
        return (0..<worldSize).map { rank in
            let message = all[rank * Self.messageBytes..<(rank + 1) * Self.messageBytes]
            let count = Int(message[message.startIndex]) | Int(message[message.startIndex + 1]) << 8
            return Array(message.dropFirst(2).prefix(count))
        }
    }
}
