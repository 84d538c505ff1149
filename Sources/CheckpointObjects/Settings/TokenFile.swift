/// Files that hold one token.
enum TokenFile {
    /// Reads a token.
    ///
    /// - Parameters:
    ///   - path: the file.
    ///   - source: the source of the credentials, for errors.
    ///   - sizeMax: the greatest size of the file in bytes.
    /// - Returns: the token without white space at its ends.
    /// - Throws: `CredentialError` if the file is missing, or holds no token.
    static func read(
        _ path: String, source: String, sizeMax: Int
    ) throws(CredentialError) -> String {
        let shown = SafeText.shown(path, hiding: [])
        let bytes: [UInt8]?
        do {
            bytes = try BoundedFile.read(path, shown: shown, sizeMax: sizeMax)
        } catch {
            throw CredentialError(source, "token file \(shown): \(error.problem)", error.remedy)
        }
        guard let bytes else {
            throw CredentialError(
                source, "token file \(shown) does not exist", "Check that it is mounted")
        }
        let token = SafeText.trimmed(String(decoding: bytes, as: UTF8.self))
        guard !token.isEmpty, token.utf8.allSatisfy({ (0x20...0x7e).contains($0) }) else {
            throw CredentialError(
                source, "token file \(shown) does not contain a token on one line",
                "Check the program that writes the file")
        }
        return token
    }
}
