"""Facts that the split stage needs: class roles of the published benchmarks, aliases of labels."""
