"""What looks at a run: how far it is, what became of its clips, how two rebuilds differ.

Read from the files it leaves; nothing is asked of Snakemake or the cluster.
"""

from avzsl.inspect.read import Stage, Status, read_status

__all__ = ["Stage", "Status", "read_status"]
