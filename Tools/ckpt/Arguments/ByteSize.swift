import ArgumentParser

/// A size on the command line: bytes, or with a unit of 1000 (`5GB`) or 1024 (`5GiB`).
struct ByteSize: ExpressibleByArgument, CustomStringConvertible {
    let bytes: Int
    let description: String

    init(_ bytes: Int, _ description: String) {
        self.bytes = bytes
        self.description = description
    }

    init?(argument: String) {
        let units = ["": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30]
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits), let unit = units[String(argument.dropFirst(digits.count))] else { return nil }
        let (bytes, isTooLarge) = number.multipliedReportingOverflow(by: unit)
        guard !isTooLarge, bytes > 0 else { return nil }
        self.init(bytes, argument)
    }
}

/// `FROM=TO`, split at the first equals sign.
struct Assignment: ExpressibleByArgument {
    let key: String
    let value: String

    init?(argument: String) {
        guard let sign = argument.firstIndex(of: "="), sign != argument.startIndex else { return nil }
        key = String(argument[..<sign])
        value = String(argument[argument.index(after: sign)...])
    }
}
