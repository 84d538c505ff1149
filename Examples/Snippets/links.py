#!/usr/bin/env python3
"""Checks that what pages link to, such as ``Checkpointer/save(step:metrics:)``, is public in Sources.

    links.py PAGE...
"""
import glob
import re
import sys

TYPE = r"(?:class|struct|enum|protocol|actor|typealias|extension)"


def parameters(text):
    """Returns the labels of a list of parameters that begins `text`, as in `step:metrics:`."""
    depth, label, labels = 0, "", ""
    for character in text.replace("->", ""):
        if depth == 1 and character == ":" and label is not None:
            labels += label.split()[0] + ":"
            label = None
        elif depth == 1 and character == ",":
            label = ""
        elif depth == 1 and label is not None:
            label += character
        if character in "([<":
            depth += 1
        elif character in ")]>":
            depth -= 1
            if depth == 0:
                return labels
    raise ValueError(text[:80])


# What each type has; free functions and the types themselves have the owner None.
public = {(None, module.split("/")[1]) for module in glob.glob("Sources/*/")}
for path in glob.glob("Sources/**/*.swift", recursive=True):
    code = open(path, encoding="utf-8").read()
    owners = set(re.findall(rf"^ *(?:[\w@]+ )*{TYPE} (\w+)", code, re.M)) | {None}
    names = re.findall(rf"^ *public (?:\w+ )*{TYPE} (\w+)", code, re.M)
    names += re.findall(r"^ *public (?:[\w()]+ )*(?:let|var) (\w+)", code, re.M)
    names += re.findall(r"^ *case (\w+)", code, re.M)
    for match in re.finditer(r"^ *public (?:\w+ )*(?:func (\w+)|(init))\??(?:<[^(]*>)?(?=\()", code, re.M):
        names.append(f"{match[1] or match[2]}({parameters(code[match.end():])})")
    public |= {(owner, name) for owner in owners for name in names}

count, broken = 0, []
for page in sys.argv[1:]:
    for number, line in enumerate(open(page, encoding="utf-8"), 1):
        for link in re.findall(r"``([^`]+)``", line):
            owner, _, name = link.rpartition("/")
            count += 1
            if (owner or None, name) not in public:
                broken.append(f"{page}:{number}: ``{link}`` is not public in Sources")
if broken:
    sys.exit("\n".join(broken))
print(f"{count} links in {len(sys.argv) - 1} pages")
