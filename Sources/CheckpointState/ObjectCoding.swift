internal import CheckpointFormat
internal import CheckpointSharding
internal import Foundation

/// JSON encoding of values that reads back bit for bit: numbers in their shortest exact form, keys
/// in a fixed order.
enum ObjectCoding {
    private static let infinity = "inf", negativeInfinity = "-inf", nan = "nan"

    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: infinity, negativeInfinity: negativeInfinity, nan: nan)
        return Array(try encoder.encode(value))
    }

    static func decode<Value: Decodable>(_ bytes: [UInt8]) throws -> Value {
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: infinity, negativeInfinity: negativeInfinity, nan: nan)
        return try decoder.decode(Value.self, from: Data(bytes))
    }
}
