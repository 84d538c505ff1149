package import CheckpointState

/// A file that acts as a device. It needs no preparation of host memory, has no trainer's work to
/// wait for, and completes every copy before `startCopy` returns.
package protocol FileDevice: TensorDevice {}

extension FileDevice {
    package func prepareHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    package func releaseHostMemory(_ memory: UnsafeMutableRawBufferPointer) {}
    package func orderCopiesAfterTrainer() {}
    package func finish(_ copy: DeviceCopy) {}
}
