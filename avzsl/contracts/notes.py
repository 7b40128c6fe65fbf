"""How notes begin that are counted, in the note of MEDIA and the reason of FEATURES."""

SILENT = "silent"  # every sample of the sound is zero
STILL = "still"  # the picture never changes
