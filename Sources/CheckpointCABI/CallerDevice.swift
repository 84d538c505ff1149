internal import CCheckpoint
internal import CheckpointState
internal import CheckpointStorage

/// A device whose copies are functions of the caller (`ckpt_device`).
@safe
final class CallerDevice: TensorDevice {
    let name: String
    /// The functions may be called on any thread, which the header demands.
    nonisolated(unsafe) private let calls: ckpt_device

    /// Reads a structure of checkpoint.h.
    ///
    /// - Throws: code `misuse` if the name or a function to copy is missing.
    init(_ pointer: UnsafePointer<ckpt_device>?) throws(CheckpointError) {
        guard let pointer = unsafe pointer else { throw .argument("the argument device is NULL") }
        let raw = unsafe UnsafeRawPointer(pointer)
        let size = unsafe try CallerMemory.size(raw, "device")
        let given = unsafe CallerMemory.read(raw, zero: ckpt_device(), size: size)
        let name = unsafe try CallerMemory.text(given.name, "device.name")
        guard unsafe given.copy_to_host != nil, unsafe given.copy_to_device != nil else {
            throw .argument("device \"\(name)\" lacks copy_to_host or copy_to_device")
        }
        self.name = name
        unsafe calls = given
    }

    deinit { CallerFunctions.run { unsafe calls.release?(calls.context) } }

    func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) throws(DeviceError) {
        try check("prepare") {
            unsafe calls.prepare?(calls.context, memory.baseAddress, memory.count) ?? 0
        }
    }

    func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {
        CallerFunctions.run {
            unsafe calls.unprepare?(calls.context, memory.baseAddress, memory.count)
        }
    }

    func orderCopiesAfterTrainer() throws(DeviceError) {
        try check("order") { unsafe calls.order?(calls.context) ?? 0 }
    }

    func startCopy(
        from address: DeviceAddress, to destination: UnsafeMutableRawBufferPointer
    ) throws(DeviceError) -> DeviceCopy {
        var copy: UInt64 = 0
        try check("copy_to_host") {
            unsafe calls.copy_to_host?(
                calls.context, address.rawValue, destination.baseAddress, destination.count, &copy)
                ?? 0
        }
        return DeviceCopy(id: copy)
    }

    func startCopy(
        from source: UnsafeRawBufferPointer, to address: DeviceAddress
    ) throws(DeviceError) -> DeviceCopy {
        var copy: UInt64 = 0
        try check("copy_to_device") {
            unsafe calls.copy_to_device?(
                calls.context, source.baseAddress, address.rawValue, source.count, &copy) ?? 0
        }
        return DeviceCopy(id: copy)
    }

    func finish(_ copy: DeviceCopy) throws(DeviceError) {
        try check("finish") { unsafe calls.finish?(calls.context, copy.id) ?? 0 }
    }

    private func check(_ function: String, _ body: () -> Int32) throws(DeviceError) {
        let result = CallerFunctions.run(body)
        guard result == 0 else {
            throw DeviceError("\(name): \(function) of the program returned \(result)")
        }
    }
}
