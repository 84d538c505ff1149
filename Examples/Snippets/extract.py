#!/usr/bin/env python3
"""Writes the Swift code of each page given to a function of its own: extract.py OUT PAGE...

Each block of a page is in a scope inside that of the block before it, so it may use what earlier
blocks declare, and declare a name again.
"""
import os
import re
import sys

out, pages = sys.argv[1], sys.argv[2:]
count = 0
for page in pages:
    blocks = re.findall(r"^```swift\n(.*?)^```$", open(page, encoding="utf-8").read(), re.M | re.S)
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
