internal import CKernels

/// Addresses of the planes of a sub-block.
@safe
package struct PlanePointers {
    private var pointers = unsafe InlineArray<8, UnsafeMutablePointer<UInt8>?>(repeating: nil)

    package init() {}

    package subscript(plane: Int) -> UnsafeMutableRawPointer? {
        get { unsafe UnsafeMutableRawPointer(pointers[plane]) }
        set { unsafe pointers[plane] = newValue?.assumingMemoryBound(to: UInt8.self) }
    }

    func withPointers(_ body: (UnsafePointer<UnsafeMutablePointer<UInt8>?>) -> Void) {
        unsafe pointers.span.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            unsafe body(start)
        }
    }

    func withConstPointers(_ body: (UnsafePointer<UnsafePointer<UInt8>?>) -> Void) {
        unsafe withPointers { start in
            unsafe start.withMemoryRebound(to: UnsafePointer<UInt8>?.self, capacity: 8) { unsafe body($0) }
        }
    }
}
