/// Kind of a file.
package enum FileKind: Sendable, Equatable {
    case file
    case directory
    case other
}
