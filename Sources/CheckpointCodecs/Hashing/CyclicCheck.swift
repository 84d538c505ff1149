internal import CKernels

/// A cyclic redundancy check that object stores compute of what they receive. Unlike a hash, that
/// of a whole follows from those of its parts.
package enum CyclicCheck: Sendable, CaseIterable {
    /// CRC-64/NVME (NVM Command Set Specification, section 5.2.1.3.4).
    case crc64nvme
    /// CRC-32C (RFC 9260, appendix A).
    case crc32c

    /// Size of a value in bytes.
    package var byteCount: Int { self == .crc64nvme ? 8 : 4 }

    private var kind: ck_crc_kind { self == .crc64nvme ? ck_crc_64_nvme : ck_crc_32c }

    /// Returns the value for bytes.
    ///
    /// - Parameters:
    ///   - bytes: the bytes.
    ///   - before: the value for the bytes before them; 0 for none.
    package func value(of bytes: UnsafeRawBufferPointer, after before: UInt64 = 0) -> UInt64 {
        unsafe ck_crc(kind, before, bytes.baseAddress, bytes.count)
    }

    /// Returns the value for two runs of bytes, one after the other.
    ///
    /// - Parameters:
    ///   - first: the value for the first.
    ///   - second: the value for the second.
    ///   - secondCount: number of bytes of the second.
    package func joined(_ first: UInt64, _ second: UInt64, secondCount: Int) -> UInt64 {
        ck_crc_joined(kind, first, second, UInt64(secondCount))
    }
}
