internal import CheckpointCodecs
@testable import CheckpointExchange
import CheckpointFormat
import CheckpointIO
import CheckpointState
import CheckpointTestSupport
internal import SystemPackage
import Testing

/// Files that change while they are read.
@Suite struct ForeignFileTests {
    private func capture(_ tensor: ForeignTensor) throws {
        _ = try tensor.view.capture(0..<tensor.view.byteCount, to: OwnedTensor(.u8, [tensor.view.byteCount]).region)
    }

    @Test(arguments: [[4, 1], [1, 4]])
    func aFileThatIsCutWhileItIsReadIsAnError(_ strides: [Int]) throws {
        let files = InMemoryFileSystem()
        try files.createDurably("/x", [UInt8](repeating: 1, count: 64))
        let tensor = try ForeignTensor("t", .f32, [4, 4], strides: strides, in: ForeignFile("/x", in: files).lend(0..<64))
        try capture(tensor)
        files.overwrite("/x", with: [UInt8](repeating: 1, count: 63))
        let error = try #require(throws: DeviceError.self) { try capture(tensor) }
        #expect(error.description.contains("did it change while it was read"))
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
