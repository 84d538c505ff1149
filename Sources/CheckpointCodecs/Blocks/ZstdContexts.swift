internal import CZstd

/// Contexts of libzstd. Creating one costs as much as encoding a small block.
enum ZstdContexts {
    static let compressors = unsafe ContextPool<OpaquePointer> { unsafe ZSTD_createCCtx() }
    static let decompressors = unsafe ContextPool<OpaquePointer> { unsafe ZSTD_createDCtx() }
}
