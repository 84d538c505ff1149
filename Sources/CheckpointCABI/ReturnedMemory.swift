internal import CCheckpoint
internal import CheckpointIO
internal import CheckpointStorage
internal import Glibc

/// Memory that calls have returned and that the caller frees.
enum ReturnedMemory {
    private static let addresses = Monitor(Set<UInt>(), rank: .unchecked)

    /// Returns a copy of bytes, followed by a zero byte.
    ///
    /// - Throws: code `outOfMemory`.
    static func copy(_ bytes: [UInt8]) throws(CheckpointError) -> UnsafeMutableRawPointer {
        guard let memory = unsafe malloc(bytes.count + 1) else {
            throw CheckpointError(.outOfMemory, "cannot allocate \(bytes.count) bytes")
        }
        unsafe bytes.withUnsafeBytes { source in
            if let start = source.baseAddress {
                unsafe memory.copyMemory(from: start, byteCount: bytes.count)
            }
        }
        unsafe memory.storeBytes(of: 0, toByteOffset: bytes.count, as: UInt8.self)
        let address = UInt(bitPattern: memory)
        addresses.withLock { _ = $0.insert(address) }
        return unsafe memory
    }

    /// Frees memory that `copy` has returned; ignores all other.
    static func free(_ memory: UnsafeMutableRawPointer?) {
        let address = UInt(bitPattern: memory)
        let isOurs = addresses.withLock { $0.remove(address) != nil }
        if isOurs { unsafe Glibc.free(memory) }
    }
}

/// Frees memory; see checkpoint.h.
@c @implementation
public func ckpt_free(_ memory: UnsafeMutableRawPointer?) { unsafe ReturnedMemory.free(memory) }

/// Returns the version of the library; see checkpoint.h.
@c @implementation
public func ckpt_version() -> UnsafePointer<CChar> {
    guard let pointer = unsafe VersionText.shared.pointer else { return unsafe ckpt_last_path() }
    return unsafe UnsafePointer(pointer)
}
