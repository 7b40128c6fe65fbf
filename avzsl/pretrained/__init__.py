"""What installed packages of the extra [pretrained] hold: weights and names of trained networks, read as plain files."""
