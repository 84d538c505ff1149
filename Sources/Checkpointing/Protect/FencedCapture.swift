/// Fenced mode: the trainer asks for permits, so nothing is protected or watched.
final class FencedCapture: StateProtection {
    func begin(_ task: SaveTask) throws -> [String] { [] }
}
