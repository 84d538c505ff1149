/// The style of a report: system fonts, a light and a dark theme, and colors with a contrast of at least 3:1 to the background.
enum ReportStyle {
    static let sheet = """
        :root { color-scheme: light dark; --ground: #fff; --ink: #1c2126; --soft: #57606a; --grid: #e3e7eb;
          --axis: #8a939c; --card: #f6f8fa; --s0: #0b6bb8; --s1: #b35000; --s2: #00794f; --s3: #a1307e; --s4: #6546c8; --s5: #7a6200;
          --s6: #c0262d; --s7: #4a5560; --many: #b9c1c9; }
        @media (prefers-color-scheme: dark) { :root { --ground: #14171a; --ink: #e8eaed; --soft: #a4adb6; --grid: #2a3036; --axis: #6d7781;
          --card: #1c2024; --s0: #5cb3f5; --s1: #f2a14b; --s2: #3fc890; --s3: #e88cc8; --s4: #ab9bff; --s5: #d8c244; --s6: #ff8087;
          --s7: #c0c8d0; --many: #4d565f; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 1000px; padding: 24px 20px 60px; background: var(--ground); color: var(--ink);
          font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", "Liberation Sans", Arial, sans-serif; }
        h1 { font-size: 26px; margin: 0 0 4px; overflow-wrap: anywhere; } h2 { font-size: 20px; margin: 40px 0 8px; }
        h3 { font-size: 15px; margin: 0 0 8px; overflow-wrap: anywhere; }
        p, figcaption { color: var(--soft); margin: 4px 0 0; overflow-wrap: anywhere; }
        dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0; }
        dl > div { background: var(--card); border-radius: 8px; padding: 10px 14px; }
        dt { color: var(--soft); font-size: 13px; } dd { margin: 0; font-size: 18px; font-variant-numeric: tabular-nums; }
        figure { margin: 16px 0; padding: 16px; background: var(--card); border-radius: 8px; }
        .picture { overflow-x: auto; } .picture:focus-visible { outline: 2px solid var(--s0); }
        figure svg { display: block; width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--soft); }
        svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--axis); }
        svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .line.many { stroke-width: 1; }
        svg .link { fill: none; stroke: var(--soft); stroke-dasharray: 4 3; } svg rect.none { stroke: var(--grid); }
        .line.s0 { stroke: var(--s0); } .line.s1 { stroke: var(--s1); } .line.s2 { stroke: var(--s2); } .line.s3 { stroke: var(--s3); }
        .line.s4 { stroke: var(--s4); stroke-dasharray: 7 3; } .line.s5 { stroke: var(--s5); stroke-dasharray: 7 3; }
        .line.s6 { stroke: var(--s6); stroke-dasharray: 7 3; } .line.s7 { stroke: var(--s7); stroke-dasharray: 7 3; }
        .line.many { stroke: var(--many); }
        .dot.s0 { fill: var(--s0); } .dot.s1 { fill: var(--s1); } .dot.s2 { fill: var(--s2); } .dot.s3 { fill: var(--s3); }
        .dot.s4 { fill: var(--s4); } .dot.s5 { fill: var(--s5); } .dot.s6 { fill: var(--s6); } .dot.s7 { fill: var(--s7); }
        .legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 8px 0 0; padding: 0; font-size: 13px; }
        .legend li { overflow-wrap: anywhere; } figure svg.key { display: inline-block; width: 24px; height: 10px; margin-right: 6px; }
        details { margin-top: 8px; font-size: 13px; } summary { cursor: pointer; color: var(--soft); }
        table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; margin: 8px 0; }
        th, td { text-align: right; padding: 3px 10px; border-bottom: 1px solid var(--grid); white-space: nowrap; }
        th:first-child, td:first-child { text-align: left; } thead th { color: var(--soft); font-weight: 600; }
        .damage { border-left: 4px solid var(--s6); padding-left: 12px; }
        @media (max-width: 560px) { body { padding: 14px 10px 40px; } figure { padding: 10px; } h1 { font-size: 21px; }
          svg text.mark { font-size: 15px; } }
        @media print { details { display: none; } }
        """
}
