@testable import CheckpointObjects
import Testing

@Suite("Proxies", .timeLimit(.minutes(10)))
struct ProxySettingsTests {
    @Test(
        "NO_PROXY names hosts, domains, ranges and all",
        arguments: [
            ("", "s3.example.com", true), ("*", "s3.example.com", false),
            ("example.com", "s3.example.com", false), (".example.com", "s3.example.com", false),
            ("*.example.com", "s3.example.com", false), ("EXAMPLE.com", "S3.Example.COM", false),
            ("ample.com", "s3.example.com", true), ("s3.example.com:443", "s3.example.com", false),
            ("a, b ,s3.example.com", "s3.example.com", false), ("a b", "b", false),
            ("10.0.0.0/8", "10.1.2.3", false), ("10.0.0.0/8", "11.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.3", false), ("0.0.0.0/0", "9.9.9.9", false),
            ("10.0.0.0/33", "10.1.2.3", true), ("x/8", "10.1.2.3", true), ("/", "10.1.2.3", true),
            ("10.0.0.0/8", "s3.example.com", true), ("::1", "[::1]", false),
            ("[::1]:80", "[::1]", false), (",,.,", "host", true),
        ])
    func exceptions(_ list: String, _ host: String, _ isProxied: Bool) throws {
        for name in ["NO_PROXY", "no_proxy"] {
            let proxies = try ProxySettings(environment: [
                "HTTPS_PROXY": "http://proxy:3128", name: list,
            ])
            #expect((proxies.proxy(forHost: host) != nil) == isProxied)
        }
    }

    @Test("Each scheme has a proxy; lower case comes first, and empty switches it off")
    func schemes() throws {
        let proxies = try ProxySettings(environment: [
            "https_proxy": "http://lower:1", "HTTPS_PROXY": "http://upper:2", "HTTP_PROXY": "plain",
        ])
        #expect(proxies.proxy(forHost: "x")?.description == "http://lower:1")
        #expect(proxies.https?.source == "https_proxy")
        #expect(proxies.proxy(forHost: "x", isSecure: false)?.description == "http://plain:80")
        let off = try ProxySettings(environment: ["https_proxy": "", "HTTPS_PROXY": "http://u:2"])
        #expect(off.proxy(forHost: "x") == nil)
        let gateway = try ProxySettings(environment: [
            "REQUEST_METHOD": "GET", "HTTP_PROXY": "http://evil:1",
        ])
        #expect(gateway.proxy(forHost: "x", isSecure: false) == nil)
    }

    @Test("A proxy that is reached by https is refused, since its password would not be safe",
        arguments: ["https_proxy", "HTTPS_PROXY", "HTTP_PROXY"])
    func secure(_ name: String) throws {
        #expect {
            try ProxySettings(environment: [name: "https://me:secret@proxy:3128"])
        } throws: {
            let text = "\($0)"
            return text.contains(name) && text.contains("https") && !text.contains("secret")
        }
    }

    @Test("A proxy may have a user and a password, which are not shown")
    func users() throws {
        let proxy = try #require(ProxyAddress("https://me:secret%40word@Proxy.example/path"))
        #expect(proxy.user == "me")
        #expect(proxy.password == "secret@word")
        #expect(proxy.port == 443)
        #expect("\(proxy)" == "https://proxy.example:443")
        for text in ["", "http://", "http://a:b@", "socks5://x:1", "http://%zz@x", "http://%f@x"] {
            #expect(ProxyAddress(text) == nil)
        }
    }
}
