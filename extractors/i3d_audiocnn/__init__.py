"""I3D and the audio network: the networks and front ends of CJME's features."""
