#!/usr/bin/python3
"""Runs the reader in ../reader over every golden vector; prints each disagreement, then "N passed, M failed"."""

import contextlib
import glob
import importlib.util
import io
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
spec = importlib.util.spec_from_file_location("read_checkpoint", os.path.join(HERE, "../reader/read_checkpoint.py"))
reader = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(reader)


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def matches(found, expected):
    """Every key that is expected is there with its value; keys beyond those do not matter."""
    if isinstance(expected, dict):
        return isinstance(found, dict) and all(key in found and matches(found[key], expected[key]) for key in expected)
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(matches, found, expected))
    return found == expected


def run(*arguments):
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = reader.main(list(arguments))
    return code, output.getvalue()


def name_of(about):
    if about["kind"] != "block":
        return about.get("file")
    return f"{about['codec']}:{about['rawBytes']}" + (f":{about['base']}" if "base" in about else "")


def check_valid(path, about):
    code, found = reader.vector(about["kind"], path, name_of(about))
    return None if code == 0 and matches(found, about["expect"]) else found


def check_invalid(path, about):
    code, found = reader.vector(about["kind"], path, name_of(about))
    same = code == 1 and found["error"] == about["error"] and about["offset"] in (None, found["offset"])
    return None if same else {"expected": about, "found": found}


def check_store(path, expected):
    code, output = run(path, "--verify")
    if code != 0:
        return output
    for checkpoint in expected["checkpoints"]:
        for ref in (str(checkpoint["step"]), checkpoint["id"][:20]):
            code, output = run(path, ref, "--json")
            if code != 0 or json.loads(output) != checkpoint:
                return output
    code, output = run(path, "--json")
    return None if code == 0 and json.loads(output) == expected["checkpoints"][-1] else output


def main():
    passed = failed = 0
    cases = [(check_valid, path) for path in sorted(glob.glob(os.path.join(HERE, "valid/*.json")))]
    cases += [(check_invalid, path) for path in sorted(glob.glob(os.path.join(HERE, "invalid/*.json")))]
    cases += [(check_store, path) for path in sorted(glob.glob(os.path.join(HERE, "stores/*/expected.json")))]
    for check, path in cases:
        subject = os.path.dirname(path) if check is check_store else path.removesuffix(".json") + ".bin"
        try:
            wrong = check(subject, load(path))
        except Exception as error:  # a reader must not trip over any of them
            wrong = f"{type(error).__name__}: {error}"
        if wrong is None:
            passed += 1
        else:
            failed += 1
            print(f"{os.path.relpath(subject, HERE)}: {str(wrong)[:400]}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
