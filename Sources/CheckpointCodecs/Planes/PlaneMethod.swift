internal import CheckpointFormat

/// An encoder's method for a plane. A reader only sees the plane's mode.
enum PlaneMethod: UInt8 {
    case raw
    /// A frame of Huffman codes without matches.
    case huffman
    /// The same with more Huffman tables, for a plane of which a part is noise.
    case mixed
    /// A frame of zstd level 1.
    case matches
    /// The smallest of these and a frame of a higher level.
    case search
    case top
}
