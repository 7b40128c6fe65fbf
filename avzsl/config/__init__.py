"""The configuration: one strict model a section, checked before anything runs.

`load.py` reads the YAML files; the other modules are the sections. Nothing in here imports torch or
pandas, since Snakemake loads it again in every job.
"""
