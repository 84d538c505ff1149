import ArgumentParser
import CheckpointExchange
import CheckpointFormat
import Checkpointing
internal import CheckpointIO
internal import CheckpointSegments
import Foundation
internal import SystemPackage

// What import, export and restore share.

extension CheckpointError {
    /// A foreign file that was not read or written.
    init(_ error: ExchangeError) {
        switch error.kind {
        case .damage: self.init(.damaged, error.description, remedy: error.remedy, path: error.path)
        case .refused: self.init(.unsupported, error.description, remedy: error.remedy, path: error.path)
        case .inUse: self.init(.exists, error.description, remedy: error.remedy, path: error.path)
        case .file(let cause):
            self.init(cause)
            message = error.message
        }
    }
}

/// Runs `body` with the errors of foreign formats turned into the engine's.
func exchanging<R>(_ body: () throws -> R) throws -> R {
    do { return try body() } catch let error as ExchangeError {
        throw CheckpointError(error)
    } catch var error as CheckpointError where error.code == .device {
        // The devices of import and export are files.
        error.code = .io
        throw error
    }
}

extension CheckpointStore {
    /// Does something with the checkpoint that is meant. For `latest` that is the newest one with which it can be done: damage that shows
    /// on the way is told, and the one before is tried.
    func withWhole<R>(
        _ reference: CheckpointReference, _ body: (Manifest) throws -> R
    ) throws -> (result: R, skipped: [CheckpointError]) {
        var skipped: [CheckpointError] = []
        for name in try candidates(reference) {
            do {
                return (try whole(name, body), skipped)
            } catch let error as CheckpointError where reference == .latest && error.code == .damaged {
                Output.warn("passed over: \(error)")
                skipped.append(error)
            }
        }
        throw try missing(reference, skipped)
    }

    /// `ManifestFiles.reading`, for a body that throws anything.
    private func whole<R>(_ name: ManifestName, _ body: (Manifest) throws -> R) throws -> R {
        let result = try files.reading(name) { manifest throws(CheckpointError) in
            do { return Result<R, any Error>.success(try body(manifest)) } catch let error as CheckpointError { throw error } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Nothing is written to a store.
    func refuseOutput(_ path: String) throws {
        func resolved(_ path: String) -> String {
            let url = URL(fileURLWithPath: path).standardizedFileURL
            // What is not there yet cannot be a link; its directory may be.
            let parent = url.deletingLastPathComponent().resolvingSymlinksInPath()
            return parent.appendingPathComponent(url.lastPathComponent).resolvingSymlinksInPath().path
        }
        let (inner, outer) = (resolved(path), resolved(directories.root.string))
        guard inner != outer, !inner.hasPrefix(outer + "/") else {
            throw CheckpointError(
                .misuse, "\(path) lies inside the store", remedy: "Name a place outside of it with -o", path: path)
        }
    }
}

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

/// Gives tensors other names: those that a file lists, and those that begin in a certain way.
struct Renaming {
    private let prefixes: [Assignment]
    private var names: [String: String] = [:]

    /// - Parameter file: a JSON object of names.
    init(prefixes: [Assignment], file: String?) throws {
        self.prefixes = prefixes
        guard let file else { return }
        let text: Data
        do { text = try Data(contentsOf: URL(fileURLWithPath: file)) } catch {
            throw CheckpointError(.notFound, "\(file) cannot be read: \(error.localizedDescription)", path: file)
        }
        guard case .object(let members)? = try? JSONParser.parse(Array(text)[...]) else {
            throw CheckpointError(.misuse, "\(file) is not a JSON object of names", path: file)
        }
        for member in members {
            guard case .string(let name) = member.value else {
                throw CheckpointError(.misuse, "\(file) gives \(member.key) something other than a name", path: file)
            }
            names[member.key] = name
        }
    }

    /// The name in the file; the first rule that fits is taken.
    func name(of tensor: String) -> String {
        if let name = names[tensor] { return name }
        guard let prefix = prefixes.first(where: { tensor.hasPrefix($0.key) }) else { return tensor }
        return prefix.value + tensor.dropFirst(prefix.key.count)
    }
}
