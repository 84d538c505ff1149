"""Tests that need nothing but Python: `Tools/comparison/test`."""
