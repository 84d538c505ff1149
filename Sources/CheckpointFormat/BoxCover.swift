/// The check that boxes cover a region, each index once. It cuts the region along faces of the
/// boxes until each part is one box: O(n log n) for boxes that straight cuts separate, as those of
/// training programs do.
struct BoxCover {
    /// The first fault found.
    enum Fault {
        /// No box covers this region.
        case hole(lower: [Int], upper: [Int])
        /// Two boxes, given by their labels, cover this region.
        case overlap(lower: [Int], upper: [Int], labels: (Int, Int))
    }

    /// A region and the boxes in it. No box extends beyond the region.
    private struct Part {
        var lower: [Int]
        var upper: [Int]
        var boxes: BoxList
    }

    private var parts: [Part]
    /// Number of boxes that cuts have made, and its maximum. Boxes that need more are made to cost
    /// time; those of training programs need almost none.
    private var pieces = 0
    private let piecesMax: Int
    private let allowsHoles: Bool

    private init(upper: [Int], _ boxes: BoxList, allowsHoles: Bool) {
        parts = [Part(lower: upper.map { _ in 0 }, upper: upper, boxes: boxes)]
        piecesMax = 64 * boxes.count + 1 << 16
        self.allowsHoles = allowsHoles
    }

    /// Checks the boxes.
    ///
    /// - Parameters:
    ///   - region: Extents of the region, which begins at 0; none is 0.
    ///   - boxes: Boxes inside the region; none is empty.
    ///   - allowsHoles: Indices may be in no box.
    /// - Returns: A fault; nil if there is none.
    static func fault(region: [Int], _ boxes: BoxList, allowsHoles: Bool) -> Fault? {
        var cover = BoxCover(upper: region, boxes, allowsHoles: allowsHoles)
        while let part = cover.parts.popLast() {
            if let fault = cover.divide(part) { return fault }
            if cover.pieces > cover.piecesMax {
                return slowFault(region, boxes, allowsHoles: allowsHoles)
            }
        }
        return nil
    }

    /// Finds a fault of a part, or replaces it by smaller parts.
    private mutating func divide(_ part: Part) -> Fault? {
        let boxes = part.boxes
        guard boxes.count > 0 else {
            return allowsHoles ? nil : .hole(lower: part.lower, upper: part.upper)
        }
        if let full = (0..<boxes.count).first(where: { isFull($0, part) }) {
            guard boxes.count > 1 else { return nil }
            let other = full == 0 ? 1 : 0
            return overlap(boxes, other, labels: (boxes.labels[full], boxes.labels[other]))
        }
        let varying = part.lower.indices.filter { dimension in
            (0..<boxes.count).contains { !spans($0, part, dimension) }
        }
        for dimension in varying {
            switch separate(part, dimension) {
            case .fault(let fault): return fault
            case .divided: return nil
            case .whole: continue
            }
        }
        cut(part, varying)
        return nil
    }

    private func spans(_ box: Int, _ part: Part, _ dimension: Int) -> Bool {
        part.boxes.lower(box, dimension) == part.lower[dimension]
            && part.boxes.upper(box, dimension) == part.upper[dimension]
    }

    private func isFull(_ box: Int, _ part: Part) -> Bool {
        part.lower.indices.allSatisfy { spans(box, part, $0) }
    }

    private func overlap(_ boxes: BoxList, _ box: Int, labels: (Int, Int)) -> Fault {
        let dimensions = 0..<boxes.dimensions
        return .overlap(
            lower: dimensions.map { boxes.lower(box, $0) },
            upper: dimensions.map { boxes.upper(box, $0) },
            labels: (min(labels.0, labels.1), max(labels.0, labels.1)))
    }

    private enum Separation {
        case whole
        case divided
        case fault(Fault)
    }

    /// Divides a part at all places of a dimension that no box crosses.
    private mutating func separate(_ part: Part, _ dimension: Int) -> Separation {
        let boxes = part.boxes
        let order = (0..<boxes.count).sorted {
            boxes.lower($0, dimension) < boxes.lower($1, dimension)
        }
        var (end, groups, hasGap) = (part.lower[dimension], [Range<Int>](), false)
        for (place, box) in order.enumerated() {
            let lower = boxes.lower(box, dimension)
            if lower > end {
                guard allowsHoles else { return hole(in: part, dimension, end..<lower) }
                hasGap = true
            }
            if lower >= end { groups.append(place..<place) }
            groups[groups.count - 1] = groups[groups.count - 1].lowerBound..<place + 1
            end = max(end, boxes.upper(box, dimension))
        }
        if end < part.upper[dimension] {
            guard allowsHoles else { return hole(in: part, dimension, end..<part.upper[dimension]) }
            hasGap = true
        }
        guard groups.count > 1 || hasGap else { return .whole }
        for group in groups { add(group.map { order[$0] }, of: part, dimension) }
        return .divided
    }

    private func hole(in part: Part, _ dimension: Int, _ range: Range<Int>) -> Separation {
        var (lower, upper) = (part.lower, part.upper)
        (lower[dimension], upper[dimension]) = (range.lowerBound, range.upperBound)
        return .fault(.hole(lower: lower, upper: upper))
    }

    /// Adds the part that some boxes cover between two cuts of one dimension.
    private mutating func add(_ group: [Int], of part: Part, _ dimension: Int) {
        let isAlone =
            group.count == 1
            && (allowsHoles
                || part.lower.indices.allSatisfy {
                    $0 == dimension || spans(group[0], part, $0)
                })
        guard !isAlone else { return }
        var new = Part(
            lower: part.lower, upper: part.upper, boxes: BoxList(dimensions: part.boxes.dimensions))
        new.lower[dimension] = group.map { part.boxes.lower($0, dimension) }.min() ?? 0
        new.upper[dimension] = group.map { part.boxes.upper($0, dimension) }.max() ?? 0
        for box in group { new.boxes.append(box, of: part.boxes) }
        parts.append(new)
    }

    /// Cuts a part in two, through boxes, at the median of the faces inside it.
    private mutating func cut(_ part: Part, _ varying: [Int]) {
        let boxes = part.boxes
        let faces = varying.map { dimension in
            (0..<boxes.count).flatMap { [boxes.lower($0, dimension), boxes.upper($0, dimension)] }
                .filter { $0 > part.lower[dimension] && $0 < part.upper[dimension] }.sorted()
        }
        // Every varying dimension has a face inside the part.
        guard let most = faces.indices.max(by: { faces[$0].count < faces[$1].count }) else {
            return
        }
        let (dimension, place) = (varying[most], faces[most][faces[most].count / 2])
        for range in [part.lower[dimension]..<place, place..<part.upper[dimension]] {
            var half = Part(
                lower: part.lower, upper: part.upper, boxes: BoxList(dimensions: boxes.dimensions))
            (half.lower[dimension], half.upper[dimension]) = (range.lowerBound, range.upperBound)
            for box in 0..<boxes.count
            where boxes.lower(box, dimension) < range.upperBound
                && boxes.upper(box, dimension) > range.lowerBound
            {
                half.boxes.append(box, of: boxes, in: range, dimension)
            }
            pieces += half.boxes.count
            parts.append(half)
        }
        pieces -= boxes.count
    }

    /// Compares every box with every other one, and counts. It needs no memory.
    private static func slowFault(
        _ region: [Int], _ boxes: BoxList, allowsHoles: Bool
    ) -> Fault? {
        func isCommon(_ a: Int, _ b: Int, _ dimension: Int) -> Bool {
            boxes.lower(a, dimension) < boxes.upper(b, dimension)
                && boxes.lower(b, dimension) < boxes.upper(a, dimension)
        }
        var covered = 0
        for a in 0..<boxes.count {
            for b in a + 1..<boxes.count
            where region.indices.allSatisfy({ isCommon(a, b, $0) }) {
                return .overlap(
                    lower: region.indices.map { max(boxes.lower(a, $0), boxes.lower(b, $0)) },
                    upper: region.indices.map { min(boxes.upper(a, $0), boxes.upper(b, $0)) },
                    labels: (boxes.labels[a], boxes.labels[b]))
            }
            covered += region.indices.reduce(1) { $0 * (boxes.upper(a, $1) - boxes.lower(a, $1)) }
        }
        // Disjoint boxes inside a region fill it if they are as large.
        return allowsHoles || covered == region.reduce(1, *)
            ? nil : .hole(lower: region.map { _ in 0 }, upper: region)
    }
}
