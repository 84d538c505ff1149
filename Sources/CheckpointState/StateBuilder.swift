internal import CheckpointFormat
internal import CheckpointSharding

/// Result builder that collects the providers in the braces of a `CompositeState`. The compiler calls its
/// methods for single providers, lists, loops and conditions.
@resultBuilder
public enum StateBuilder {
    /// Starts a list with one provider.
    ///
    /// - Parameter provider: the value of an expression.
    /// - Returns: a list of this provider.
    public static func buildExpression(_ provider: any StateProvider) -> [any StateProvider] { [provider] }
    /// Starts a list with several providers.
    ///
    /// - Parameter providers: the value of an expression.
    /// - Returns: the same list.
    public static func buildExpression(_ providers: [any StateProvider]) -> [any StateProvider] { providers }
    /// Joins the lists of consecutive expressions.
    ///
    /// - Parameter parts: one list per expression.
    /// - Returns: all providers, in order.
    public static func buildBlock(_ parts: [any StateProvider]...) -> [any StateProvider] { parts.flatMap { $0 } }
    /// Joins the lists of a `for` loop.
    ///
    /// - Parameter parts: one list per iteration.
    /// - Returns: all providers, in order.
    public static func buildArray(_ parts: [[any StateProvider]]) -> [any StateProvider] { parts.flatMap { $0 } }
    /// Returns the list of an `if` without `else`.
    ///
    /// - Parameter part: the list; nil if the condition is false.
    /// - Returns: the list, or an empty list.
    public static func buildOptional(_ part: [any StateProvider]?) -> [any StateProvider] { part ?? [] }
    /// Returns the list of the first branch of an `if` or `switch`.
    ///
    /// - Parameter part: the list of the branch.
    /// - Returns: the same list.
    public static func buildEither(first part: [any StateProvider]) -> [any StateProvider] { part }
    /// Returns the list of another branch of an `if` or `switch`.
    ///
    /// - Parameter part: the list of the branch.
    /// - Returns: the same list.
    public static func buildEither(second part: [any StateProvider]) -> [any StateProvider] { part }
}
