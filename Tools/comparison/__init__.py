"""Compares ckpt with other checkpoint libraries on one machine. The command is `Tools/compare`.

The command starts one process per peer and repeat (`runner`), which builds the same state, runs the same
training loop (`loop`), and writes what it measured as lines of JSON. The command collects them
(`processes`), and makes the report (`report`). A peer is a class behind the protocol of `peers.base`.

Only `state` and the peers need packages from outside the standard library.
"""
