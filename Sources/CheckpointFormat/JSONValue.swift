/// A JSON value whose object keys keep their order.
package enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([Member])

    package struct Member: Equatable, Sendable {
        package var key: String
        package var value: JSONValue

        package init(_ key: String, _ value: JSONValue) {
            self.key = key
            self.value = value
        }
    }

    package static func hex(_ identifier: some Identifier) -> JSONValue { .string(identifier.description) }
    package static func count(_ value: Int) -> JSONValue { .integer(Int64(value)) }
    package static func counts(_ values: [Int]) -> JSONValue { .array(values.map(count)) }

    /// Returns a metric as the format writes it. JSON has no NaN and no infinity, so these are the
    /// strings "nan", "inf" and "-inf".
    package static func metric(_ value: Double) -> JSONValue {
        if value.isNaN { return .string("nan") }
        if value.isInfinite { return .string(value < 0 ? "-inf" : "inf") }
        return .number(value)
    }

    /// The value as compact UTF-8 text. Equal values give equal bytes.
    package var text: [UInt8] {
        var writer = JSONWriter()
        writer.write(self)
        return writer.bytes
    }
}
