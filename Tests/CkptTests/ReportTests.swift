import CheckpointTestSupport
import Foundation
import Testing

/// `ckpt report` on the real program: its data against numpy, its pictures against its data, and the page in a browser.
@Suite(.timeLimit(.minutes(20)), .serialized) struct ReportTests {
    /// A run of the reference trainer with 24 checkpoints, resumed once, and its report.
    private struct Trained {
        let folder: TemporaryDirectory
        let page: String
        let data: Fields
        var store: String { folder.path + "/run" }

        init() throws {
            folder = try TemporaryDirectory()
            for steps in ["80", "96"] { try Self.train(folder.path + "/run", steps: steps) }
            let run = try ckpt("report", folder.path + "/run", "-o", folder.path + "/report.html", "--json")
            try #require(run.status == 0, "\(run.errors)")
            #expect(try run.json().integer("followed") == 24)
            page = try folder.text(of: "report.html")
            data = try ReportTests.data(of: page)
        }

        private static func train(_ store: String, steps: String) throws {
            let process = Process()
            process.executableURL = program.deletingLastPathComponent().appendingPathComponent("ReferenceTrainer")
            process.arguments = ["--store", store, "--model", "tiny", "--steps", steps, "--every", "4", "--batch", "1"]
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            try process.waitForEnd()
            try #require(process.terminationStatus == 0)
        }
    }

    private static func data(of page: String) throws -> Fields {
        let begin = try #require(page.range(of: #"<script type="application/json" id="report-data">"#))
        let end = try #require(page.range(of: "</script>", range: begin.upperBound..<page.endIndex))
        let json = Data(page[begin.upperBound..<end.lowerBound].utf8)
        return Fields(try JSONSerialization.jsonObject(with: json) as? [String: Any] ?? [:])
    }

    /// Layers, updates and histograms of several checkpoints, computed from what `export` writes.
    private static let judge = """
        import sys, json, numpy as np, safetensors.numpy as st
        data = json.load(open(sys.argv[1]))
        files = sys.argv[2:]
        loaded = {f.split('-')[-1].split('.')[0]: st.load_file(f) for f in files}
        steps = [c['step'] for c in data['evolution']['checkpoints']]
        worst, checked = 0.0, 0
        def differ(a, b):
            global worst, checked
            worst, checked = max(worst, abs(a - b) / max(abs(b), 1e-30)), checked + 1
        for layer in data['evolution']['layers']:
            for step, tensors in loaded.items():
                place = steps.index(int(step))
                values = np.concatenate([tensors[t].ravel().astype('f8') for t in layer['tensors']])
                differ(layer['norm'][place], float(np.linalg.norm(values)))
                before = loaded.get(str(steps[place - 1])) if place else None
                if before is None: continue
                old = np.concatenate([before[t].ravel().astype('f8') for t in layer['tensors']])
                differ(layer['update'][place], float(np.linalg.norm(values - old)))
                differ(layer['relative_update'][place], float(np.linalg.norm(values - old) / np.linalg.norm(old)))
        for histogram in data['histograms']:
            for series in histogram['series']:
                values = loaded[str(series['step'])][histogram['tensor']].ravel().astype('f8')
                counts = np.histogram(values, len(series['counts']), (histogram['min'], histogram['max']))[0]
                # An element next to an edge may fall on either side of it.
                assert np.abs(counts - series['counts']).sum() <= 2, (counts, series)
                checked += 1
        print(json.dumps([worst, checked]))
        """

    @Test func dataOfARealRunAgreeWithNumpy() throws {
        let trained = try Trained()
        let evolution = trained.data.object("evolution")
        let steps = evolution.list("checkpoints").compactMap { $0.integer("step") }
        #expect(steps == Array(stride(from: 4, through: 96, by: 4)))
        // Two restarts of one run.
        #expect(trained.data.list("runs").count == 1)
        var files: [String] = []
        for step in [4, 8, 44, 48, 80, 84, 96] {
            let file = trained.folder.path + "/step-\(step).safetensors"
            #expect(try ckpt("export", trained.store, "\(step)", "-o", file).status == 0)
            files.append(file)
        }
        let json = try JSONSerialization.data(withJSONObject: trained.data.members)
        try json.write(to: URL(fileURLWithPath: trained.folder.path + "/data.json"))
        let verdict = try JSONSerialization.jsonObject(with: Data(Judge.run(Self.judge, [trained.folder.path + "/data.json"] + files).utf8))
        let numbers = try #require(verdict as? [Double])
        #expect(numbers[0] < 1e-9 && numbers[1] > 100, "\(numbers)")
        try checkPictures(trained)
        checkThatItAsksForNothing(trained.page)
        try browse(trained)
    }

    /// The points of a picture lie on a straight line over the numbers that the caption names.
    private func checkPictures(_ trained: Trained) throws {
        let losses = trained.data.list("checkpoints").compactMap { $0.object("metrics").number("loss") }
        try expectLinear(try heights(ofFigure: "loss", in: trained.page), losses)
        let stalls = trained.data.list("checkpoints").compactMap { $0.object("metrics").number("stall_s") }
        #expect(stalls.count == 24 && stalls.contains { $0 > 0 })
        try expectLinear(try heights(ofFigure: "Stall", in: trained.page), stalls)
        let evolution = trained.data.object("evolution")
        let colored = try heights(ofFigure: "Norm of each layer", in: trained.page)
        let first = try #require(evolution.list("layers").first { layer in
            trained.page.contains("<title>\(layer.text("name") ?? ""), step 4: ")
        })
        try expectLinear(Array(colored.prefix(24)), first.members["norm"] as? [Double] ?? [])
        let cells = try figure("Relative update of each layer, by step", in: trained.page).matches(of: #/<rect [^>]*class="cell"/#).count
        #expect(cells == evolution.list("layers").count * 23)
    }

    private func figure(_ title: String, in page: String) throws -> Substring {
        let begin = try #require(page.range(of: "<figure><h3>\(title)</h3>"), "no figure \(title)")
        let end = try #require(page.range(of: "</figure>", range: begin.upperBound..<page.endIndex))
        return page[begin.lowerBound..<end.lowerBound]
    }

    private func heights(ofFigure title: String, in page: String) throws -> [Double] {
        try figure(title, in: page).matches(of: #/<circle [^>]*cy="([-0-9.]+)"/#).compactMap { Double($0.output.1) }
    }

    private func expectLinear(_ heights: [Double], _ values: [Double], sourceLocation: SourceLocation = #_sourceLocation) throws {
        try #require(heights.count == values.count && values.count > 2, sourceLocation: sourceLocation)
        let low = try #require(values.indices.min { values[$0] < values[$1] })
        let high = try #require(values.indices.max { values[$0] < values[$1] })
        let slope = (heights[high] - heights[low]) / (values[high] - values[low])
        #expect(slope < 0, "larger values lie higher", sourceLocation: sourceLocation)
        for (height, value) in zip(heights, values) {
            #expect(abs(heights[low] + (value - values[low]) * slope - height) < 0.02, sourceLocation: sourceLocation)
        }
    }

    private func checkThatItAsksForNothing(_ page: String) {
        for word in ["http:", "https:", "//", "src=", "href", "@import", "url("] {
            let found = page.range(of: word).map { page[$0.lowerBound...].prefix(60) }
            #expect(found == nil)
        }
        #expect(page.contains("default-src &#39;none&#39;"))
        let (pictures, labelled) = (page.matches(of: #/<svg /#).count, page.matches(of: #/<svg [^>]*aria-(label|hidden)=/#).count)
        #expect(pictures == labelled && pictures > 10)
        #expect(page.matches(of: #/<figure>/#).count == page.matches(of: #/<summary>/#).count)
    }

    // MARK: In a browser

    private static let browser = ["chromium", "chromium-browser", "google-chrome"].map { "/usr/bin/" + $0 }
        .first { FileManager.default.isExecutableFile(atPath: $0) }
    private static let chromium = Requirement(
        .browser, refusal: browser == nil ? "there is no Chromium; Tools/setup installs it" : nil)

    /// Light, dark and narrow; what the browser made of the page, and whether it complained.
    private func browse(_ trained: Trained) throws {
        guard let browser = Self.browser else {
            if Self.chromium.isTested { try Self.chromium.check() }
            print("SKIPPED: there is no Chromium to show the report in; Tools/setup installs it")
            return
        }
        let looks = [("light", "1000,3000", "1"), ("dark", "1000,3000", "0"), ("narrow", "500,3000", "1")]
        var sizes: Set<Int> = []
        for (name, window, scheme) in looks {
            let picture = trained.folder.path + "/\(name).png"
            let options = ["--window-size=\(window)", "--blink-settings=preferredColorScheme=\(scheme)", "--screenshot=\(picture)"]
            let errors = try run(browser, trained, options).errors
            #expect(!errors.contains("CONSOLE"), "\(errors)")
            let bytes = try Data(contentsOf: URL(fileURLWithPath: picture))
            #expect(bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) && bytes.count > 50_000)
            sizes.insert(bytes.count)
            // For a person to look at.
            guard let place = ProcessInfo.processInfo.environment["CKPT_SCREENSHOTS"] else { continue }
            try bytes.write(to: URL(fileURLWithPath: "\(place)/\(name).png"))
        }
        #expect(sizes.count == 3)
        let seen = try run(browser, trained, ["--dump-dom"]).output
        #expect(seen.matches(of: #/<svg /#).count == trained.page.matches(of: #/<svg /#).count)
        #expect(seen.matches(of: #/<circle /#).count == trained.page.matches(of: #/<circle /#).count)
        #expect(try Self.data(of: seen).list("checkpoints").count == 24)
    }

    private func run(_ browser: String, _ trained: Trained, _ options: [String]) throws -> Run {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
        process.arguments = [
            "60", browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--v=0",
            "--user-data-dir=\(trained.folder.path)/profile",
        ] + options + [trained.folder.path + "/report.html"]
        let (output, errors) = (trained.folder.path + "/stdout", trained.folder.path + "/stderr")
        for path in [output, errors] { try Data().write(to: URL(fileURLWithPath: path)) }
        process.standardOutput = FileHandle(forWritingAtPath: output)
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        try process.waitForEnd()
        return Run(
            status: process.terminationStatus, output: try trained.folder.text(of: "stdout"), errors: try trained.folder.text(of: "stderr"))
    }

    // MARK: Stores of other kinds

    @Test func hostileNamesStayText() throws {
        let name = "</script><script>alert(1)</script>\"'&\u{1B}[31m\n.weight"
        let sample = try Sample(weight: name, runName: "<img src=x onerror=alert(1)>" + String(repeating: "y", count: 1 << 20))
        let page = sample.folder.path + "/page.html"
        let run = try ckpt("report", sample.store, "-o", page)
        #expect(run.status == 0, "\(run.errors)")
        let text = try sample.folder.text(of: "page.html")
        #expect(!text.contains("<script>alert") && !text.contains("<img") && !text.contains("\u{1B}"))
        #expect(text.components(separatedBy: "</script").count == 2)
        #expect(text.utf8.count < 300_000)
        let layers = try Self.data(of: text).object("evolution").list("layers")
        #expect(layers.first?.texts("tensors") == [name])
    }

    @Test func aDamagedCheckpointIsLeftOut() throws {
        let sample = try Sample()
        let manifest = try #require(try sample.folder.names(in: "store/manifests").first)
        try sample.folder.damage("store/manifests/" + manifest, at: 100)
        // So that the catalog does not vouch for it.
        try FileManager.default.removeItem(atPath: sample.store + "/catalog.sqlite")
        let run = try ckpt("report", sample.store, "-o", sample.folder.path + "/page.html", "--json")
        #expect(run.status == 1 && run.errors.contains("left out a damaged checkpoint"))
        #expect(try run.json().integer("checkpoints") == 1 && run.json().list("damaged").count == 1)
        #expect(try sample.folder.text(of: "page.html").contains("This report omits 1 damaged checkpoint:"))
    }

    @Test func whatIsThereIsNotWrittenOver() throws {
        let sample = try Sample()
        let page = sample.folder.path + "/page.html"
        #expect(try ckpt("report", sample.store, "-o", page, "--tensor", "*.bias", "--max-checkpoints", "2").status == 0)
        #expect(try ckpt("report", sample.store, "-o", page).status == 7)
        #expect(try ckpt("report", sample.store, "-o", page, "--force").status == 0)
        #expect(try ckpt("report", sample.store, "-o", sample.store + "/page.html").status == 7)
        #expect(try ckpt("report", sample.store, "-o", page, "--max-checkpoints", "1").status == 2)
        #expect(try ckpt("report", sample.store + "-not", "-o", page).status == 3)
    }

    @Test func outputsAreThoseOfTheGoldenFiles() throws {
        let sample = try Sample()
        let golden = Golden(folder: sample.folder)
        let page = sample.folder.path + "/page.html"
        try golden.expect(ckpt("report", sample.store, "-o", page, "--json"), "report.json", status: 0)
        try golden.expect(ckpt("report", sample.store, "-o", page, "--force"), "report.txt", status: 0)
    }
}
