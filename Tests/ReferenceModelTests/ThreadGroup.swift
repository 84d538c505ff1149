import Foundation
import ReferenceModel

/// Threads in place of the processes of a group: each exchange completes when the last one arrives.
struct ThreadGroup: TensorGroup {
    /// An exchange that a thread waited for in vain.
    struct Alone: Error {}

    let index: Int
    let count: Int
    private let meeting: Meeting

    /// Runs `body` on as many threads, and returns their results by place.
    static func run<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (ThreadGroup) throws -> Result
    ) throws -> [Result] {
        let (meeting, results) = (Meeting(count), Meeting(count + 1))
        for index in 0..<count {
            let group = ThreadGroup(index: index, count: count, meeting: meeting)
            Thread.detachNewThread {
                _ = try? results.exchange(Swift.Result { try body(group) }, at: index)
            }
        }
        let all = try results.exchange((), at: count)
        return try all.dropLast().map { result in
            guard let result = result as? Swift.Result<Result, any Error> else { throw Alone() }
            return try result.get()
        }
    }

    func allGather<Value: BitwiseCopyable & Sendable>(_ values: [Value]) throws -> [[Value]] {
        try meeting.exchange(values, at: index).compactMap { $0 as? [Value] }
    }
}

/// A place where threads meet again and again, each with something for all.
private final class Meeting: @unchecked Sendable {
    private let condition = NSCondition()
    private var arrived: [Int: any Sendable] = [:]
    /// What the threads brought to the last complete exchange. The next one cannot complete before
    /// all have left this one.
    private var complete: [any Sendable] = []
    private var number = 0
    private let count: Int

    init(_ count: Int) { self.count = count }

    func exchange(_ value: any Sendable, at index: Int) throws -> [any Sendable] {
        condition.lock()
        defer { condition.unlock() }
        let own = number
        arrived[index] = value
        if arrived.count == count {
            complete = (0..<count).compactMap { arrived[$0] }
            arrived = [:]
            number += 1
            condition.broadcast()
        }
        let deadline = Date(timeIntervalSinceNow: 120)
        while number == own {
            guard condition.wait(until: deadline) else { throw ThreadGroup.Alone() }
        }
        return complete
    }
}
