/// Values that no error and no description may show.
enum Secret {
    static let key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    static let token = "secret-session-token"
    static let all = [key, token, "secret-web-token", "secret-password", "secret-other"]
}
