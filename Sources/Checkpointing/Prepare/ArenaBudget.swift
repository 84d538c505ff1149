internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointStorage

/// The size of the staging arena, in slots of one chunk.
struct ArenaBudget: Equatable {
    /// Memory that the process can get.
    struct Memory {
        /// Bytes that can be allocated; nil if it is unknown.
        var available: Int?
        /// Limit of the process's address space in bytes; nil for none.
        var addressSpace: Int?

        /// The process's own. Any thread; it reads /proc and /sys.
        static var now: Memory {
            Memory(
                available: SystemMemory.availableBytes,
                addressSpace: SystemMemory.addressSpaceLimit)
        }
    }

    /// Maximum number of slots.
    let slotCount: Int
    /// Number of slots that are in memory from the start. The others are given memory when
    /// somebody had to wait for a slot.
    let touchedCount: Int

    /// Memory from the start, in bytes, if the options say nothing.
    static let defaultBytes = 128 << 20
    /// The part of the free memory that may be used, if the options say nothing.
    private static let share = 8
    /// Keeps the tables of slots small when chunks are.
    private static let slotsMax = 4096

    /// Decides the size.
    ///
    /// - Parameters:
    ///   - options: of the checkpointer.
    ///   - worldSize: number of ranks, which may all be on this machine.
    ///   - memory: what the system has.
    /// - Throws: code `outOfMemory`, before the kernel kills a process to get memory.
    init(
        _ options: CheckpointerOptions, worldSize: Int, _ memory: Memory = .now
    ) throws(CheckpointError) {
        let touched = max(options.arenaBytes ?? Self.defaultBytes, options.chunkBytes)
        if let available = memory.available, available < touched {
            throw CheckpointError(
                .outOfMemory,
                "the staging arena needs \(SizeText.of(touched)), but only "
                    + "\(SizeText.of(available)) of memory is free",
                remedy: "Lower arenaBytes (one chunk is enough); training then waits more often")
        }
        touchedCount = touched / options.chunkBytes
        guard options.arenaBytes == nil, let available = memory.available else {
            slotCount = touchedCount
            return
        }
        let free = min(available, memory.addressSpace ?? .max)
        let slots = free / Self.share / worldSize / options.chunkBytes
        slotCount = max(touchedCount, min(slots, Self.slotsMax))
    }
}
