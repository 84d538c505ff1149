internal import CheckpointCodecs
@testable import CheckpointExchange
import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
internal import SystemPackage
import Testing

/// Files that change while they are read.
@Suite(.timeLimit(.minutes(20))) struct ForeignFileTests {
    private func capture(_ tensor: ForeignTensor) throws {
        _ = try tensor.view.capture(0..<tensor.view.byteCount, to: TensorBuffer(.u8, [tensor.view.byteCount]).region)
    }

    @Test(arguments: [[4, 1], [1, 4]])
    func aFileThatIsCutWhileItIsReadIsAnError(_ strides: [Int]) throws {
        let files = InMemoryFileSystem()
        try files.createDurably("/x", [UInt8](repeating: 1, count: 64))
        let tensor = try ForeignTensor("t", .f32, [4, 4], strides: strides, in: ForeignFile("/x", in: files).lend(0..<64))
        try capture(tensor)
        files.overwrite("/x", with: [UInt8](repeating: 1, count: 63))
        let error = try #require(throws: DeviceError.self) { try capture(tensor) }
        #expect(error.description.contains("did the file change while it was read"))
    }

    /// Files are opened again when they are read; what is there must be what was there.
    @Test func ofManyFilesFewAreOpen() throws {
        let files = CountingFileSystem(InMemoryFileSystem())
        try files.makeDirectory("/d")
        let opened = OpenFiles(files)
        let all = try (0..<OpenFiles.openMax + 3).map { number in
            let path = FilePath("/d/\(number)")
            try files.createDurably(path, [UInt8(number)])
            return try ForeignFile(path, in: opened)
        }
        #expect(files.takeOpened("d") == all.count)
        for (number, file) in all.enumerated().reversed() { #expect(try file.read(count: 1, at: 0) == [UInt8(number)]) }
        // The first three were closed for the last three, and one more each for those that came back.
        #expect(files.takeOpened("d") == 3)
        _ = try all[0].read(count: 1, at: 0)
        #expect(files.takeOpened("d") == 0)
        try files.createDurably("/other", [7])
        try files.replace("/d/130", with: "/other")
        let error = try #require(throws: ExchangeError.self) { _ = try all[130].read(count: 1, at: 0) }
        #expect(error.description.contains("/d/130"))
    }

    @Test func nothingIsReadBeyondTheEnd() throws {
        let files = InMemoryFileSystem()
        try files.createDurably("/x", [1, 2, 3])
        let file = try ForeignFile("/x", in: files)
        #expect(try file.read(count: 2, at: 1) == [2, 3])
        for (count, offset) in [(1, 3), (4, 0), (Int.max, 1), (1, Int.max), (-1, 0), (1, -1)] {
            #expect(throws: ExchangeError.self) { _ = try file.read(count: count, at: offset) }
        }
    }
}
