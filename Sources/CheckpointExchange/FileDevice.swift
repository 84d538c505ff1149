package import CheckpointState

/// A file as a device: it needs nothing of the host's memory, has no trainer's work to wait for, and copies at once.
package protocol FileDevice: Device {}

extension FileDevice {
    package func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    package func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    package func orderCopiesAfterTrainer() {}
    package func finish(_ copy: DeviceCopy) {}
}
