#!/usr/bin/env python3
"""Writes the Swift code of pages where it can be compiled.

    extract.py OUT PAGE...             each page to a function of its own in OUT
    extract.py --loop OUT PAGE         the page's first block to OUT/main.swift, as a program
    extract.py --package OUT PAGE      the page's block of dependencies to OUT/Package.swift

Each block of a page is in a scope inside that of the block before it, so it may use what earlier
blocks declare, and declare a name again.
"""
import os
import re
import sys


def blocks_of(page):
    return re.findall(r"^```swift\n(.*?)^```$", open(page, encoding="utf-8").read(), re.M | re.S)


# The program around the loop: what Trainer.swift declares, and a line that tells what was done.
BEFORE = """\
let trainer = Trainer()
let layers = [try Layer("first"), try Layer("second")]
let optimizer = Optimizer(layers)
let parameters = layers.map { Parameter(name: $0.name, view: $0.weight.view, layer: $0.name) }
let moments = layers.map { (name: $0.name, view: $0.moment.view, group: Optional($0.name)) }
"""
AFTER = """\
print("trained \\(trainer.trained) steps, now at \\(trainer.step), \\(trainer.cursor) samples seen, "
    + "weight \\(layers[0].weight[0].bitPattern)")
"""

if sys.argv[1] == "--loop":
    out, page = sys.argv[2:]
    block = blocks_of(page)[0]
    assert block.startswith("import Checkpointing\n"), "the first block is no program"
    code = block.removeprefix("import Checkpointing\n")
    with open(f"{out}/main.swift", "w", encoding="utf-8") as file:
        file.write(f"import Checkpointing\n\n{BEFORE}{code}{AFTER}")
    sys.exit()

if sys.argv[1] == "--package":
    out, page = sys.argv[2:]
    block = re.search(r"^```\n(dependencies: .*?)^```$", open(page, encoding="utf-8").read(), re.M | re.S)
    with open(f"{out}/Package.swift", "w", encoding="utf-8") as file:
        file.write(f"""\
// swift-tools-version: 6.2
import PackageDescription

let package = Package(
name: "Train",
{block[1]})
""")
    sys.exit()

out, pages = sys.argv[1], sys.argv[2:]
count = 0
for page in pages:
    blocks = blocks_of(page)
    if not blocks:
        continue
    imports, lines = {"import Checkpointing"}, []
    for block in blocks:
        count += 1
        lines.append("do {")
        for line in block.splitlines():
            if re.fullmatch(r"import \w+", line):
                imports.add(line)
            else:
                lines.append(line)
    name = re.sub(r"\W", "", os.path.splitext(os.path.basename(page))[0])
    with open(f"{out}/{name}.swift", "w", encoding="utf-8") as file:
        body = "\n".join(lines) + "\n" + "}\n" * len(blocks)
        file.write("\n".join(sorted(imports)) + f"\n\nfunc page{name}() throws {{\n{body}}}\n")
print(f"{count} blocks of code in {len(pages)} pages")
