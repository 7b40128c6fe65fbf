"""C3D and VGGish: the networks and front ends of the "cls" features of AVCA's supplement and of TCaF."""
