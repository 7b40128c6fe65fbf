"""How far a run is, read from the files it leaves; nothing is asked of Snakemake or the cluster."""

from avzsl.status.read import Stage, Status, read_status

__all__ = ["Stage", "Status", "read_status"]
