@testable import CheckpointObjects
import Foundation
import Testing

@Suite("Request signer", .timeLimit(.minutes(10)))
struct RequestSignerTests {
    private struct Example: Sendable, CustomTestStringConvertible {
        var method = "GET"
        var path = "/"
        var query: [(String, String)] = []
        var headers: [(String, String)] = []
        var body = ""
        var signature: String
        var testDescription: String { "\(method) \(path)" }
    }

    /// Examples of the documentation of S3, "Signature Calculations for the Authorization Header".
    private static let examples = [
        Example(
            path: "/test.txt", headers: [("range", "bytes=0-9")],
            signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        Example(
            method: "PUT", path: "/test%24file.text",
            headers: [
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ], body: "Welcome to Amazon S3.",
            signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        Example(
            query: [("lifecycle", "")],
            signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        Example(
            query: [("prefix", "J"), ("max-keys", "2")],
            signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ]

    @Test("The examples of the documentation of S3", arguments: examples)
    private func documented(_ example: Example) throws {
        let added = RequestSigner(service: "s3", region: "us-east-1").sign(
            method: example.method, path: example.path, query: example.query,
            headers: [("host", "examplebucket.s3.amazonaws.com")] + example.headers,
            payloadHash: RequestSigner.hash(Array(example.body.utf8)),
            credentials: Credentials(
                accessKeyID: "AKIAIOSFODNN7EXAMPLE",
                secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            date: Date(timeIntervalSince1970: 1_369_353_600))
        let text = try #require(added.first { $0.0 == "authorization" }?.1)
        #expect(text.hasSuffix("Signature=" + example.signature))
        #expect(text.contains("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"))
    }

    @Test("A path and a query with encoded characters are signed as botocore 1.43 signs them")
    func botocore() throws {
        let added = RequestSigner(service: "s3", region: "eu-west-1").sign(
            method: "PUT", path: "/runs/a%20b%2Bc/%C3%A9.bin",
            query: [("uploadId", "x/y z"), ("partNumber", "3")],
            headers: [("host", "bucket.s3.eu-west-1.amazonaws.com"), ("if-none-match", "*")],
            payloadHash: RequestSigner.hash(Array("hello".utf8)),
            credentials: Credentials(accessKeyID: "AKIDEXAMPLE", secretAccessKey: Secret.key),
            date: Date(timeIntervalSince1970: noon))
        #expect(
            added.first { $0.0 == "authorization" }?.1
                == "AWS4-HMAC-SHA256 "
                + "Credential=AKIDEXAMPLE/20261128/eu-west-1/s3/aws4_request, "
                + "SignedHeaders=host;if-none-match;x-amz-content-sha256;x-amz-date, Signature="
                + "9fdcb5fd7345cad52467f24eb64e897085e7c85235e82872c96c8238ee0744da")
    }
}
