package import CheckpointFormat

/// Choices in reading foreign files.
package struct ReadingOptions: Sendable {
    /// Whether what is neither a tensor nor a plain value is left out; otherwise it is refused.
    package var skipsObjects = false
    /// Type of the elements of numpy arrays whose file does not say it, because numpy itself does
    /// not have the type.
    package var voidType: ElementType?

    /// The defaults.
    package init() {}
}
