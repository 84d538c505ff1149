import CheckpointIO
import Foundation
import NIOCore
import NIOPosix

/// An HTTP proxy that makes tunnels, and asks for a password.
final class ConnectProxy: Sendable {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel
    private let heads: Monitor<[String]>

    init() throws {
        let heads = Monitor<[String]>([], rank: .unchecked)
        self.heads = heads
        channel = try ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        TunnelHandler { head in heads.withLock { $0.append(head) } })
                }
            }
            .bind(host: "127.0.0.1", port: 0).wait()
    }

    var port: Int { channel.localAddress?.port ?? 0 }
    /// The heads of the requests for tunnels.
    var requests: [String] { heads.withLock { $0 } }

    func stop() {
        try? channel.close().wait()
        try? group.syncShutdownGracefully()
    }
}

/// Reads a request for a tunnel, and then passes on what arrives.
private final class TunnelHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let note: (String) -> Void
    private var head = ""
    private var other: (any Channel)?

    init(_ note: @escaping (String) -> Void) { self.note = note }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        if let other { return other.writeAndFlush(buffer, promise: nil) }
        head += buffer.readString(length: buffer.readableBytes) ?? ""
        guard head.hasSuffix("\r\n\r\n") else { return }
        note(head)
        let target = head.split(separator: " ").dropFirst().first?.split(separator: ":") ?? []
        guard target.count == 2, let port = Int(target[1]) else {
            return context.close(promise: nil)
        }
        let own = context.channel
        // Names of tests stand for the loopback.
        ClientBootstrap(group: own.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(BackHandler(own))
                }
            }
            .connect(host: "127.0.0.1", port: port)
            .assumeIsolated()
            .whenComplete { result in
                guard case .success(let channel) = result else { return own.close(promise: nil) }
                self.other = channel
                own.writeAndFlush(ByteBuffer(string: "HTTP/1.1 200 OK\r\n\r\n"), promise: nil)
            }
    }

    func channelInactive(context: ChannelHandlerContext) { other?.close(promise: nil) }
}

/// Passes on what comes back.
private final class BackHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let channel: any Channel

    init(_ channel: any Channel) { self.channel = channel }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        channel.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { channel.close(promise: nil) }
}
