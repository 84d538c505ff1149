internal import CheckpointCodecs
internal import CheckpointFormat
internal import CheckpointIO
internal import CheckpointSegments
internal import CheckpointState

/// Executes a restore plan: reads blocks on several threads, checks every chunk against the hash
/// taken at capture, and copies it to its destination.
package struct RestoreOperation {
    package let store: CheckpointStore
    package let manifest: Manifest
    package let threads: Int
    /// Called with the tensor bytes restored since the last call, on the reading threads.
    package var progress: @Sendable (Int) -> Void = { _ in }
    /// Asked before each block.
    package var cancellation = Cancellation()

    private struct Progress {
        var next = 0
        var failure: CheckpointError?
        /// Elements that a conversion has made infinite.
        var overflowCount = 0
    }

    /// Memory of one thread for converted elements.
    private struct Converter: ~Copyable {
        private var scratch = ScratchBuffer()
        private(set) var overflowCount = 0

        /// Returns elements in the type of their view, until the next call.
        mutating func elements(
            of source: MemoryRegion, _ conversion: FloatConversion
        ) throws(OutOfMemory) -> MemoryRegion {
            let count = conversion.bytes(ofSource: source.count)
            let converted = try scratch.region(atLeast: count).prefix(count)
            overflowCount += conversion.convert(source, into: converted)
            return converted
        }
    }

    /// Reads all blocks of a plan; returns when every thread has ended.
    ///
    /// - Parameter plan: the plan.
    /// - Returns: the number of finite elements that conversions have made infinite.
    /// - Throws: the first failure of any thread: codes `damaged`, `io`, `device`, `outOfMemory`,
    ///   `cancelled`. The destination is then partly overwritten.
    @discardableResult
    package func run(_ plan: RestorePlan) throws(CheckpointError) -> Int {
        let source = BlockSource(store: store, manifest: manifest)
        let state = Monitor(Progress())
        var workers: [WorkerThread] = []
        do throws(ThreadError) {
            for index in 0..<min(threads, max(plan.reads.count, 1)) {
                workers.append(
                    try WorkerThread(name: "ckpt-restore-\(index)") { [self] in work(plan, source, state) })
            }
        } catch where !workers.isEmpty {
            // If not all threads start, those that did carry on.
        } catch {
            throw CheckpointError(any: error, during: "restore")
        }
        for worker in workers { worker.join() }
        let end = state.withLock { $0 }
        if let failure = end.failure { throw failure }
        return end.overflowCount
    }

    private func work(
        _ plan: RestorePlan, _ source: BlockSource, _ state: Monitor<Progress>
    ) {
        var buffers = BlockSource.Buffers()
        var converter = Converter()
        defer { state.withLock { $0.overflowCount += converter.overflowCount } }
        while true {
            let index: Int? = state.withLock { state in
                guard state.failure == nil, state.next < plan.reads.count else { return nil }
                defer { state.next += 1 }
                return state.next
            }
            guard let index else { return }
            do throws(CheckpointError) {
                try cancellation.check("reading step \(manifest.step)")
                try Self.restore(plan.reads[index], source, &buffers, &converter)
                progress(plan.reads[index].pieces.reduce(0) { $0 + $1.chunk.bytes })
            } catch {
                state.withLock { $0.failure = $0.failure ?? error }
            }
        }
    }

    private static func restore(
        _ read: RestorePlan.Read, _ source: BlockSource, _ buffers: inout BlockSource.Buffers,
        _ converter: inout Converter
    ) throws(CheckpointError) {
        do {
            let block = try source.block(read.row, into: destination(of: read), &buffers)
            try deliver(read, block, &converter)
            for cast in read.casts {
                try deliver(
                    cast,
                    try source.cast(cast.row, of: block, into: destination(of: cast), &buffers),
                    &converter)
            }
        } catch {
            var error = CheckpointError(any: error, during: "restore")
            error.names = error.names.isEmpty ? read.pieces.map(\.tensor) + read.casts.flatMap { $0.pieces.map(\.tensor) } : error.names
            throw error
        }
    }

    /// Checks the chunks of a block, and copies them to their destinations unless they were decoded
    /// in place.
    private static func deliver(
        _ read: RestorePlan.Read, _ block: DecodedBlock, _ converter: inout Converter
    ) throws {
        let isInPlace = destination(of: read) != nil
        for piece in read.pieces {
            let chunk = try checked(piece, block)
            if let conversion = piece.conversion {
                try convert(chunk, conversion, &converter, to: piece)
            } else if !isInPlace {
                try copy(chunk, to: piece)
            }
        }
    }

    private static func copy(
        _ chunk: MemoryRegion, to piece: RestorePlan.Piece
    ) throws(DeviceError) {
        switch piece.destination {
        case .contiguous(let offset): try piece.view.restore(chunk, at: offset)
        case .scattered(let copies): try piece.view.restore(chunk, copies)
        }
    }

    /// Converts the elements of a chunk that are needed, and no others: they are counted.
    private static func convert(
        _ chunk: MemoryRegion, _ conversion: FloatConversion, _ converter: inout Converter,
        to piece: RestorePlan.Piece
    ) throws {
        switch piece.destination {
        case .contiguous(let offset):
            try piece.view.restore(
                converter.elements(of: chunk, conversion), at: conversion.bytes(ofSource: offset))
        case .scattered(let copies):
            for copy in copies {
                try copy.forEachRun { run in
                    let start = conversion.from.bytes(ofElements: run.source)
                    let end = start + conversion.from.bytes(ofElements: run.count)
                    try piece.view.restore(
                        converter.elements(of: chunk[start..<end], conversion),
                        at: conversion.to.bytes(ofElements: run.destination))
                }
            }
        }
    }

    /// Returns the destination in the trainer's memory, if the block is one chunk that is
    /// contiguous there; nil otherwise.
    private static func destination(of read: RestorePlan.Read) -> MemoryRegion? {
        guard let piece = read.pieces.first, read.pieces.count == 1, piece.chunk.offset == 0,
            piece.chunk.bytes == read.block.rawBytes, piece.conversion == nil,
            case .contiguous(let offset) = piece.destination
        else { return nil }
        return piece.view.contiguousRegion(offset..<offset + piece.chunk.bytes)
    }

    private static func checked(
        _ piece: RestorePlan.Piece, _ block: DecodedBlock
    ) throws(CheckpointError) -> MemoryRegion {
        do throws(ChunkMismatch) { return try block.chunk(piece.chunk) } catch {
            var error = error.checkpointError
            error.names = [piece.tensor]
            throw error
        }
    }

    /// Reads the bytes of objects, on this thread.
    ///
    /// - Parameter records: the objects.
    /// - Returns: encoded bytes of each object, in the order of `records`.
    /// - Throws: codes `damaged`, `io`, `outOfMemory`.
    package func objects(_ records: [ObjectRecord]) throws(CheckpointError) -> [[UInt8]] {
        let source = BlockSource(store: store, manifest: manifest)
        var buffers = BlockSource.Buffers()
        // Objects are packed: many are in one block.
        var last: (row: Int, block: DecodedBlock)?
        var contents: [[UInt8]] = []
        for record in records {
            do {
                contents.append(try object(record, source, &buffers, &last))
            } catch {
                var error = CheckpointError(any: error, during: "object \(record.name)")
                error.names = [record.name]
                throw error
            }
        }
        return contents
    }

    private func object(
        _ record: ObjectRecord, _ source: BlockSource, _ buffers: inout BlockSource.Buffers,
        _ last: inout (row: Int, block: DecodedBlock)?
    ) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for chunk in manifest.chunks[record.chunks] {
            if last?.row != chunk.block {
                // Its bytes are in `buffers`, which the next block overwrites.
                last = nil
                last = (chunk.block, try source.block(chunk.block, &buffers))
            }
            if let last { bytes += try last.block.chunk(chunk).array }
        }
        // Of a checkpoint of several ranks, only some parts may have been read.
        guard bytes.count == record.bytes else {
            throw CheckpointError(
                .damaged, "it has \(bytes.count) bytes in its chunks, not \(record.bytes)")
        }
        return bytes
    }
}
