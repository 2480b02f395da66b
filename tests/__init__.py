"""Tests of smart_retail: no network, no real face, every picture drawn at test time."""
