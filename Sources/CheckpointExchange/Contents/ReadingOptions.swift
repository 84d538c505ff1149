package import CheckpointFormat

/// Choices in reading foreign files.
package struct ReadingOptions: Sendable {
    /// True to leave out entries that are neither tensors nor plain values; false to refuse the
    /// file.
    package var skipsObjects = false
    /// Type of the elements of numpy arrays whose file does not say it, because numpy itself does
    /// not have the type.
    package var voidType: ElementType?

    /// The defaults.
    package init() {}
}
