"""What `avzsl new` writes: the first configuration of a data set of one's own, from what is found on the disk."""
