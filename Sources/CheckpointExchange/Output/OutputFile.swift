package import CheckpointFormat
internal import CheckpointIO
package import CheckpointState
package import SystemPackage

/// A file that is being written, lent to the engine as a device. Restored bytes are passed to the
/// file system immediately and are never held in memory.
package final class OutputFile: FileDevice {
    package let path: FilePath
    private let file: any WritableFile

    init(_ path: FilePath, _ file: any WritableFile) {
        self.path = path
        self.file = file
    }

    /// Returns the destination of a tensor in the file.
    ///
    /// - Parameters:
    ///   - type: type of the elements.
    ///   - shape: extents in elements, slowest dimension first.
    ///   - range: byte range of the tensor in the file.
    /// - Returns: a view; writing to it writes to the file.
    /// - Throws: `ExchangeError` if the format's public library would refuse the shape.
    package func place(_ type: ElementType, _ shape: [Int], at range: Range<Int>) throws(ExchangeError) -> TensorView {
        let memory = LentMemory(device: self, address: DeviceAddress(rawValue: UInt64(range.lowerBound)), byteCount: range.count)
        guard isComputable(shape, type) else {
            throw .refused(path.string, "the size of a tensor of shape \(shown(shape)) overflows, though it is empty")
        }
        do throws(StateError) { return try TensorView(memory, type: type, shape: shape) } catch {
            throw .refused(path.string, error.description)
        }
    }

    /// Writes bytes.
    ///
    /// - Parameters:
    ///   - bytes: the bytes.
    ///   - offset: offset of the first byte in the file.
    /// - Throws: `ExchangeError` if writing fails.
    package func write(_ bytes: [UInt8], at offset: Int) throws(ExchangeError) {
        try exchanging { () throws(FileSystemError) in try file.write(bytes, at: offset) }
    }

    func sync() throws(ExchangeError) { try exchanging { () throws(FileSystemError) in try file.sync() } }

    func close() { file.close() }

    // MARK: TensorDevice

    package var name: String { path.string }

    package func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        throw DeviceError("\(path) is open only for writing")
    }

    package func startCopy(from source: UnsafeRawBufferPointer, to address: DeviceAddress) throws(DeviceError) -> DeviceCopy {
        do throws(FileSystemError) {
            unsafe try file.write(source, at: Int(address.rawValue))
        } catch {
            var failure = DeviceError(error.description)
            failure.errno = error.errno.rawValue
            throw failure
        }
        return DeviceCopy(id: 0)
    }
}
