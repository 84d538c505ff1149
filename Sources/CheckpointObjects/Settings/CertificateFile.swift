internal import NIOSSL

/// A file of certificates that are trusted instead of those of the system.
enum CertificateFile {
    /// Checks that a file can be used: the network library tells only of a failed handshake.
    ///
    /// - Parameter file: the path, and the setting that names it.
    /// - Throws: `SettingsError` if there is no certificate in it.
    static func check(_ file: Sourced<String>) throws(SettingsError) {
        let shown = SafeText.shown(file.value, hiding: [])
        guard let bytes = try BoundedFile.read(file.value, shown: shown, sizeMax: 16 << 20) else {
            throw SettingsError(
                file.source, "the file of certificates \(shown) does not exist",
                "Correct the path, or unset it")
        }
        do { _ = try NIOSSLCertificate.fromPEMBytes(bytes) } catch {
            throw SettingsError(
                file.source, "\(shown) holds no certificates in PEM form",
                "Give a file with lines -----BEGIN CERTIFICATE-----")
        }
    }
}
