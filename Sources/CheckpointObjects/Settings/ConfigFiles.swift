internal import Foundation

/// The profiles of the AWS tools, from `~/.aws/config` and `~/.aws/credentials`.
package struct ConfigFiles: Sendable {
    private var profiles: [String: Profile] = [:]
    /// The sections `[services NAME]`.
    private var services: [String: [String: INIValue]] = [:]
    /// The sections `[sso-session NAME]`.
    private var signIns: [String: [String: INIValue]] = [:]
    /// The files as they are shown to people.
    package let configFile: String
    package let credentialsFile: String

    /// Greatest size of a file in bytes.
    static let sizeMax = 1 << 20

    /// Combines the contents of the two files.
    ///
    /// - Parameters:
    ///   - config: content of the config file; nil if there is none.
    ///   - credentials: content of the credentials file; nil if there is none.
    ///   - configFile: name of the config file for people.
    ///   - credentialsFile: name of the credentials file for people.
    /// - Throws: `SettingsError`, with file and line, for a malformed line.
    package init(
        config: [UInt8]? = nil, credentials: [UInt8]? = nil,
        configFile: String = "~/.aws/config", credentialsFile: String = "~/.aws/credentials"
    ) throws(SettingsError) {
        self.configFile = configFile
        self.credentialsFile = credentialsFile
        if let config {
            for (name, values) in try INIDocument(config, file: configFile).sections {
                add(section: name, values)
            }
        }
        if let credentials {
            let document = try INIDocument(credentials, file: credentialsFile)
            for (name, values) in document.sections {
                profiles[name, default: Profile(name: name)].values.merge(values) { $1 }
            }
        }
    }

    /// Reads the files that the environment names, or those in the home directory. A file that does
    /// not exist counts as empty.
    ///
    /// - Parameter environment: AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE, HOME.
    /// - Returns: the profiles.
    /// - Throws: `SettingsError` for a file that cannot be read, is over 1 MiB, or is malformed.
    package static func read(
        environment: [String: String]
    ) throws(SettingsError) -> ConfigFiles {
        func file(_ variable: String, _ usual: String) -> (shown: String, path: String) {
            let shown = environment[variable].flatMap { $0.isEmpty ? nil : $0 } ?? usual
            return (shown, expanded(shown, environment))
        }
        let config = file("AWS_CONFIG_FILE", "~/.aws/config")
        let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")
        return try ConfigFiles(
            config: try BoundedFile.read(config.path, shown: config.shown, sizeMax: sizeMax),
            credentials: try BoundedFile.read(
                credentials.path, shown: credentials.shown, sizeMax: sizeMax),
            configFile: config.shown, credentialsFile: credentials.shown)
    }

    /// Returns the profile that the environment selects.
    ///
    /// - Parameter environment: AWS_PROFILE, AWS_DEFAULT_PROFILE.
    /// - Returns: the profile; without values if none is selected and there is no `[default]`.
    /// - Throws: `SettingsError` if the selected profile does not exist.
    package func profile(environment: [String: String]) throws(SettingsError) -> Profile {
        for variable in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
            guard let name = environment[variable], !name.isEmpty else { continue }
            if let profile = profiles[name] { return profile }
            guard name != "default" else { break }
            throw SettingsError(
                variable,
                "there is no profile \"\(SafeText.shown(name, hiding: []))\" in \(places)",
                "Name an existing profile, or unset \(variable)")
        }
        return profiles["default"] ?? Profile(name: "default")
    }

    /// Returns a profile; nil if there is none of this name.
    package func profile(named name: String) -> Profile? { profiles[name] }

    /// Both files for people.
    var places: String { "\(configFile) or \(credentialsFile)" }

    /// Returns a value of the section `[services NAME]` that a profile names.
    ///
    /// - Parameters:
    ///   - key: the nested key, such as `endpoint_url`.
    ///   - service: the service, such as `s3`.
    ///   - profile: the profile.
    /// - Returns: nil if it is missing or empty.
    /// - Throws: `SettingsError` if the section does not exist.
    func sourced(
        _ key: String, of service: String, for profile: Profile
    ) throws(SettingsError) -> Sourced<String>? {
        guard let name = profile["services"] else { return nil }
        let shown = SafeText.shown(name, hiding: [])
        guard let section = services[name] else {
            throw SettingsError(
                profile.place(of: "services"), "there is no section [services \(shown)]",
                "Add the section, or remove the key `services`")
        }
        guard let value = section[service], let text = value.nested[key], !text.isEmpty
        else { return nil }
        return Sourced(text, source: "services \(shown) in \(value.file)")
    }

    /// Returns a value of a section `[sso-session NAME]`; nil if it is missing or empty.
    func signInValue(_ key: String, of name: String) -> String? {
        signIns[name]?[key].flatMap { $0.text.isEmpty ? nil : $0.text }
    }

    /// Returns a path with the home directory in the place of `~`.
    static func expanded(_ path: String, _ environment: [String: String]) -> String {
        guard path == "~" || path.hasPrefix("~/") else { return path }
        let home = environment["HOME"].flatMap { $0.isEmpty ? nil : $0 } ?? NSHomeDirectory()
        return home + path.dropFirst()
    }

    /// Takes a section of the config file. Sections of other kinds are for other programs.
    private mutating func add(section: String, _ values: [String: INIValue]) {
        // A section of one word that is no profile, such as [plugins], has a name of one word.
        let words = ShellWords.split(section) ?? []
        if section == "default" {
            profiles[section, default: Profile(name: section)].values.merge(values) { own, _ in
                own
            }
        } else if words.count == 2, words[0] == "profile" {
            // [profile default] is the same as [default], and comes before it.
            profiles[words[1], default: Profile(name: words[1])].values.merge(values) { $1 }
        } else if words.count == 2, words[0] == "services" {
            services[words[1]] = values
        } else if words.count == 2, words[0] == "sso-session" {
            signIns[words[1]] = values
        }
    }
}

extension ConfigFiles: CustomStringConvertible, CustomReflectable {
    package var description: String { "ConfigFiles(\(configFile), \(credentialsFile))" }
    package var customMirror: Mirror {
        Mirror(self, children: [("profiles", profiles.keys.sorted())])
    }
}
