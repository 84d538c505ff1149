import CheckpointIO
import CheckpointTestSupport
import Foundation
import SystemPackage
import Testing

@testable import CheckpointObjects
@testable import CheckpointStorage

/// Locks between machines, each with its own access to the same objects.
@Suite("Locks in a bucket", .timeLimit(.minutes(10)))
struct ObjectLocksTests {
    private func machines(_ objects: any ObjectStore) -> [ObjectLocks] {
        (0..<2).map { ObjectLocks(objects, holder: Array("machine \($0)".utf8)) }
    }

    @Test("Shared locks exclude exclusive ones, and exclusive ones all",
        arguments: ObjectStoreContractTests.kinds)
    func modes(_ kind: ObjectStoreContractTests.Kind) throws {
        let directory = try TemporaryDirectory()
        let locks = machines(ObjectStoreContractTests.make(kind, in: directory))
        let first = try #require(try locks[0].take("a", .shared))
        let second = try #require(try locks[1].take("a", .shared))
        #expect(try locks[0].take("a", .exclusive) == nil)
        // Another name.
        _ = try #require(try locks[0].take("b", .exclusive))
        #expect(try locks[1].holder(of: "a").map { String(decoding: $0, as: UTF8.self) }?
            .hasPrefix("machine") == true)
        withExtendedLifetime((first, second)) {}
    }

    @Test("A lock ends when it is released", arguments: ObjectStoreContractTests.kinds)
    func release(_ kind: ObjectStoreContractTests.Kind) throws {
        let directory = try TemporaryDirectory()
        let objects = ObjectStoreContractTests.make(kind, in: directory)
        let locks = machines(objects)
        do {
            let lock = try #require(try locks[0].take("a", .exclusive))
            #expect(try locks[1].take("a", .shared) == nil)
            #expect(try locks[1].take("a", .exclusive) == nil)
            withExtendedLifetime(lock) {}
        }
        #expect(try objects.list("locks/a/", limit: nil).isEmpty)
        _ = try #require(try locks[1].take("a", .exclusive))
    }

    @Test("A lock that a killed process has left does not count after ten minutes")
    func leavings() throws {
        let objects = InMemoryObjectStore()
        try objects.create("locks/a/killed.exclusive", [])
        let locks = machines(objects)
        #expect(try locks[0].take("a", .shared) == nil)
        objects.age("locks/a/killed.exclusive", .seconds(10 * 60))
        #expect(try locks[0].take("a", .exclusive) == nil)
        objects.age("locks/a/killed.exclusive", .seconds(10 * 60 + 1))
        let lock = try #require(try locks[0].take("a", .exclusive))
        #expect(objects.keys.count == 1)
        withExtendedLifetime(lock) {}
    }

    @Test("A lock of a process of this machine that has ended does not count")
    func endedProcess() throws {
        let objects = InMemoryObjectStore()
        var holder = LockHolder.current
        let locks = ObjectLocks(objects, holder: holder.encoded)
        // A process that runs: this one's parent, or init.
        holder.process = 1
        try objects.create("locks/a/other.exclusive", holder.encoded)
        #expect(try locks.take("a", .exclusive) == nil)
        holder.process = Int(Int32.max)
        try objects.create("locks/b/ended.exclusive", holder.encoded)
        #expect(try locks.take("b", .exclusive) != nil)
        // The same number on another machine.
        holder.machine = 1
        try objects.create("locks/c/elsewhere.exclusive", holder.encoded)
        #expect(try locks.take("c", .exclusive) == nil)
    }

    @Test("A lock that could not be removed does not keep its own process out")
    func lostRelease() throws {
        let objects = InMemoryObjectStore()
        // The third request is the one that releases the lock.
        let failing = FailingObjectStore(objects, at: 2, hasActed: false)
        let locks = ObjectLocks(failing, holder: LockHolder.current.encoded)
        #expect(try locks.take("a", .exclusive) != nil)
        #expect(failing.hasFailed && objects.keys.count == 1)
        #expect(try ObjectLocks(objects, holder: []).take("a", .exclusive) != nil)
    }

    @Test("A lock is written again while it is held, and not relied on if that fails")
    func renewal() throws {
        let objects = InMemoryObjectStore()
        var times = ObjectLocks.Times()
        // Far longer than a loaded machine keeps the thread from writing the lock again.
        (times.renewal, times.trusted) = (.milliseconds(20), .seconds(4))
        let locks = ObjectLocks(objects, holder: [7], times: times)
        #expect(locks.areTrusted)
        do {
            let lock = try #require(try locks.take("a", .shared))
            let key = try #require(objects.keys.first)
            objects.age(key, .seconds(1))
            #expect(eventually(within: .seconds(20)) { objects.age(of: key) == nil })
            // Longer than a lock that is not written again is trusted.
            Thread.sleep(forTimeInterval: 5)
            #expect(locks.areTrusted)
            objects.isStopped = true
            #expect(eventually(within: .seconds(20)) { !locks.areTrusted })
            objects.isStopped = false
            usleep(100_000)
            // Others may have removed it: it is not taken again.
            #expect(!locks.areTrusted)
            withExtendedLifetime(lock) {}
        }
        #expect(locks.areTrusted)
        #expect(objects.keys.isEmpty)
    }

    @Test("A request that fails leaves no lock that is not held", arguments: [true, false])
    func failures(hasActed: Bool) throws {
        var request = 0
        while true {
            let objects = InMemoryObjectStore()
            let failing = FailingObjectStore(objects, at: request, hasActed: hasActed)
            let lock = try? ObjectLocks(failing, holder: []).take("a", .exclusive)
            #expect(objects.keys.count == (lock == nil ? 0 : 1), "request \(request)")
            withExtendedLifetime(lock) {}
            if !failing.hasFailed { break }
            request += 1
        }
        #expect(request >= 2)
    }

    @Test("Two of many machines never have an exclusive lock at the same time",
        arguments: ObjectStoreContractTests.kinds)
    func race(_ kind: ObjectStoreContractTests.Kind) throws {
        let directory = try TemporaryDirectory()
        let objects = ObjectStoreContractTests.make(kind, in: directory)
        let state = Monitor((holders: 0, most: 0, taken: 0, mixed: 0, readers: 0), rank: .unchecked)
        let seed = Seeds.random()
        let threads = try (0..<6).map { number in
            try WorkerThread(name: "machine") {
                var random = SeededGenerator(seed &+ UInt64(number))
                let locks = ObjectLocks(objects, holder: [])
                for _ in 0..<15 {
                    let isReader = number % 3 == 0
                    // A request that fails is none that got the lock.
                    guard let lock = try? locks.take("a", isReader ? .shared : .exclusive) else {
                        usleep(useconds_t.random(in: 0..<3000, using: &random))
                        continue
                    }
                    state.withLock { state in
                        if isReader { state.readers += 1 } else { state.holders += 1 }
                        state.taken += 1
                        state.most = max(state.most, state.holders)
                        if state.readers > 0, state.holders > 0 { state.mixed += 1 }
                    }
                    usleep(500)
                    state.withLock { state in
                        if isReader { state.readers -= 1 } else { state.holders -= 1 }
                    }
                    withExtendedLifetime(lock) {}
                }
            }
        }
        for thread in threads { thread.join() }
        let end = state.withLock { $0 }
        #expect(end.most <= 1 && end.mixed == 0, "seed \(seed)")
        #expect(end.taken > 0, "seed \(seed)")
        #expect(try objects.list("locks/a/", limit: nil).isEmpty)
    }
}
