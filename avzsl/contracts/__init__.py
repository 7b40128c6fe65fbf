"""Data contracts: the schemas, file formats, hashes and errors every other package builds on.

Nothing in here imports torch, and nothing in here imports from another avzsl package, so that
catalogue, split and report rules start in a second.
"""
