package import CheckpointFormat
internal import CheckpointIO
package import CheckpointState
package import SystemPackage

/// A file that is written, lent to the engine as a device: what is restored into it is on its way to the disk at once, and is never held.
package final class OutputFile: FileDevice {
    package let path: FilePath
    private let file: any WritableFile

    init(_ path: FilePath, _ file: any WritableFile) {
        self.path = path
        self.file = file
    }

    /// Where a tensor belongs.
    /// - Throws: if the public library would refuse its shape.
    package func place(_ type: ElementType, _ shape: [Int], at range: Range<Int>) throws(ExchangeError) -> TensorView {
        let memory = LentMemory(device: self, address: DeviceAddress(rawValue: UInt64(range.lowerBound)), byteCount: range.count)
        guard isComputable(shape, type) else {
            throw .refused(path.string, "a tensor of shape \(shown(shape)) has no elements, and a size that overflows")
        }
        do throws(StateError) { return try TensorView(memory, type: type, shape: shape) } catch {
            throw .refused(path.string, error.description)
        }
    }

    package func write(_ bytes: [UInt8], at offset: Int) throws(ExchangeError) {
        try exchanging { () throws(FileSystemError) in try file.write(bytes, at: offset) }
    }

    func sync() throws(ExchangeError) { try exchanging { () throws(FileSystemError) in try file.sync() } }

    func close() { file.close() }

    // MARK: Device

    package var name: String { path.string }

    package func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        throw DeviceError("\(path) is open for writing only")
    }

    package func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        do throws(FileSystemError) {
            unsafe try file.write(source, at: Int(address.rawValue))
        } catch {
            throw DeviceError(error.description)
        }
        return DeviceCopy(id: 0)
    }
}
