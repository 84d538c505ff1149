internal import CheckpointFormat
internal import CheckpointState

/// Copies elements from their positions in the source to their row-major positions.
@safe
struct Gather {
    private let source: UnsafeRawBufferPointer
    private let output: UnsafeMutableRawBufferPointer

    init(_ source: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer) {
        unsafe self.source = source
        unsafe self.output = output
    }

    /// Copies the elements of one window.
    ///
    /// - Parameters:
    ///   - dimensions: counts and strides, in elements.
    ///   - width: width of an element in bytes.
    func copy(_ dimensions: [StridedLayout.Dimension], _ width: Int) {
        // The innermost loop is the one with the smallest distance between written elements.
        let sorted = dimensions.sorted { $0.outputStride > $1.outputStride }
        switch width {
        case 1: copy(sorted[...], 0, 0, UInt8.self)
        case 2: copy(sorted[...], 0, 0, UInt16.self)
        case 4: copy(sorted[...], 0, 0, UInt32.self)
        case 8: copy(sorted[...], 0, 0, UInt64.self)
        default: copy(sorted[...], 0, 0, UInt128.self)
        }
    }

    private func copy<T: FixedWidthInteger & BitwiseCopyable>(
        _ dimensions: ArraySlice<StridedLayout.Dimension>, _ from: Int, _ to: Int, _: T.Type
    ) {
        guard let first = dimensions.first else { return run(1, from, 0, to, 0, T.self) }
        if dimensions.count == 1 {
            return run(first.count, from, first.sourceStride, to, first.outputStride, T.self)
        }
        for index in 0..<first.count {
            copy(
                dimensions.dropFirst(), from + index * first.sourceStride,
                to + index * first.outputStride, T.self)
        }
    }

    private func run<T: FixedWidthInteger & BitwiseCopyable>(
        _ count: Int, _ from: Int, _ sourceStride: Int, _ to: Int, _ outputStride: Int, _: T.Type
    ) {
        let width = MemoryLayout<T>.size
        let last = (from + (count - 1) * sourceStride, to + (count - 1) * outputStride)
        precondition(unsafe last.0 < source.count / width && last.1 < output.count / width)
        guard var read = unsafe source.baseAddress.map({ unsafe $0 + from * width }),
            var write = unsafe output.baseAddress.map({ unsafe $0 + to * width })
        else { return }
        for _ in 0..<count {
            unsafe write.storeBytes(of: read.loadUnaligned(as: T.self), as: T.self)
            unsafe read += sourceStride * width
            unsafe write += outputStride * width
        }
    }
}
