import logging

# What the library reports is part of some tests, and noise in the others.
logging.getLogger("ckpt").addHandler(logging.NullHandler())
