# The entry that `snakemake --cores all` finds. An include alone sets no default target, so it is named.
include: "workflow/Snakefile"


workflow.default_target = "all"
