import NIOCore
import NIOHTTP1

/// Collects a request.
final class RequestHandler: ChannelInboundHandler {
    /// A request as it arrived.
    struct Arrived: Sendable {
        var head: HTTPRequestHead
        var body: ByteBuffer?
    }

    typealias InboundIn = HTTPServerRequestPart

    private let handle: (Arrived, any Channel) -> Void
    private var arrived: Arrived?

    init(_ handle: @escaping (Arrived, any Channel) -> Void) { self.handle = handle }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): arrived = .init(head: head)
        case .body(var part):
            if arrived?.body == nil {
                arrived?.body = part
            } else {
                arrived?.body?.writeBuffer(&part)
            }
        case .end:
            if let arrived { handle(arrived, context.channel) }
            arrived = nil
        }
    }
}
