internal import CheckpointFormat
internal import SystemPackage

/// A file of `torch.save` from before PyTorch 1.6 (torch/serialization.py, `_legacy_save`): five
/// pickles (a magic number, a version, facts about the system, the state, the keys of the
/// storages), and the storages, each with its number of elements before it.
struct TorchLegacyFile {
    private static let magicNumber = "0x1950a86a20f9469cfc6c"
    private static let version: Int64 = 1001
    /// Bytes read at first; more are read if the pickles do not end in them.
    private static let prefixBytes = 1 << 20

    let pickle: Pickle
    /// Byte ranges of the storages in the file, by their keys.
    let storages: [ByteName: Range<Int>]

    /// Returns whether a file begins as `torch.save` began it.
    ///
    /// - Parameter beginning: the first bytes of the file, at least 16.
    static func isLegacy(_ beginning: [UInt8]) -> Bool {
        var bytes = beginning[...]
        // Bytes that are not a pickle cannot be the magic number either.
        let first = try? Unpickler.readPrefix(&bytes, "", keepsForeign: false)
        guard case .large(magicNumber)? = first?.root else { return false }
        return true
    }

    /// Reads the pickles, and finds the storages.
    ///
    /// - Parameter file: a file for which `isLegacy` is true.
    /// - Throws: `ExchangeError` if the file is damaged or not supported.
    init(_ file: ForeignFile) throws(ExchangeError) {
        var count = min(file.size, Self.prefixBytes)
        while true {
            do throws(ExchangeError) {
                self = try Self(file, prefix: count)
                return
            } catch {
                // The pickles may be longer than what was read of them.
                guard case .damage = error.kind,
                    count < min(file.size, ExchangeLimits.pickleBytesMax)
                else { throw error }
                count = min(file.size, ExchangeLimits.pickleBytesMax, count * 8)
            }
        }
    }

    private init(_ file: ForeignFile, prefix: Int) throws(ExchangeError) {
        let path = file.path.string
        var bytes = try file.read(count: prefix, at: 0)[...]
        _ = try Unpickler.readPrefix(&bytes, path, keepsForeign: false)
        let version = try Unpickler.readPrefix(&bytes, path, keepsForeign: false)
        guard case .integer(Self.version) = version.root else {
            throw .refused(path, "unknown version of the torch.save format")
        }
        let system = try Unpickler.readPrefix(&bytes, path, keepsForeign: false)
        for (key, value) in try system.members(system.root, "the description of the system") {
            if case .string("little_endian") = key, case .bool(false) = value {
                throw .refused(path, "its elements are big-endian")
            }
        }
        pickle = try Unpickler.readPrefix(&bytes, path, keepsForeign: true)
        let keys = try Unpickler.readPrefix(&bytes, path, keepsForeign: false)
        guard let list = keys.node(keys.root), list.kind == .list else {
            throw keys.error("the keys of the storages are not a list")
        }
        storages = try Self.storages(
            list.items, Self.widths(pickle), at: prefix - bytes.count, of: file)
    }

    /// Returns the width of each storage's elements in bytes, by its key.
    private static func widths(_ pickle: Pickle) -> [ByteName: Int] {
        var widths: [ByteName: Int] = [:]
        for node in pickle.nodes where node.kind == .persistent {
            guard let parts = pickle.node(node.items.first)?.items, parts.count >= 3,
                case .string(let key) = parts[2]
            else { continue }
            switch parts[1] {
            case .global(.storage(let type)): widths[ByteName(key)] = type.width
            case .global(.untypedStorage): widths[ByteName(key)] = 1
            default: break
            }
        }
        return widths
    }

    private static func storages(
        _ keys: [Pickle.Value], _ widths: [ByteName: Int], at start: Int, of file: ForeignFile
    ) throws(ExchangeError) -> [ByteName: Range<Int>] {
        var (offset, storages) = (start, [ByteName: Range<Int>]())
        for key in keys {
            guard case .string(let key) = key, let width = widths[ByteName(key)] else {
                throw .refused(file.path.string, "a storage has an unknown element type")
            }
            guard file.size - offset >= 8 else { throw cut(file, key) }
            let size = try file.read(count: 8, at: offset).reversed().reduce(UInt64(0)) {
                $0 << 8 | UInt64($1)
            }
            offset += 8
            let (bytes, isHuge) = size.multipliedReportingOverflow(by: UInt64(width))
            guard !isHuge, bytes <= UInt64(file.size - offset) else { throw cut(file, key) }
            storages[ByteName(key)] = offset..<offset + Int(bytes)
            offset += Int(bytes)
        }
        return storages
    }

    private static func cut(_ file: ForeignFile, _ key: String) -> ExchangeError {
        .damage(
            file.path.string, "the file is truncated in storage \(quoted(key))",
            remedy: "Copy or download it again")
    }
}
