"""Datasets made from what hospitals and annotation tools have: one converter per file, one writer for all."""
