// swift-tools-version: 6.2
import PackageDescription

// Swift 6 unless SWIFT_MODE=5 is set, in which case the language mode of older packages is used.
// A package of yours needs none of these settings.
let settings: [SwiftSetting] =
    Context.environment["SWIFT_MODE"] == "5"
    ? [.swiftLanguageMode(.v5)]
    : [.swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error)]

let package = Package(
    name: "QuickStart",
    dependencies: [.package(name: "ckpt", path: "../..")],
    targets: [
        .executableTarget(
            name: "QuickStart",
            dependencies: [.product(name: "Checkpointing", package: "ckpt")],
            swiftSettings: settings)
    ]
)
