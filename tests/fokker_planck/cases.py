"""Meshes with every kind of wall, in one to three dimensions: (walls, elements, degree, diffusivity) by name."""

from controlsde.fokker_planck import Mesh, Operator

CASES = {
    "1-D reflecting": ("reflecting", (9,), 6, 0.5),
    "1-D periodic": ("periodic", (7,), 4, 0.1),
    "1-D one element": ("reflecting", (1,), 5, 0.1),
    "2-D reflecting": ("reflecting", (4, 3), 5, 0.3),
    "2-D noise-free": ("reflecting", (3, 4), 4, 0.0),
    "2-D of degree 1": ("reflecting", (5, 4), 1, 0.2),
    "2-D periodic, even": ("periodic", (4, 2), 4, 0.2),
    "2-D periodic, odd": ("periodic", (5, 3), 3, 0.2),
    "2-D absorbing": ("absorbing", (3, 3), 4, 0.1),
    "2-D outflow": ("absorbing", (3, 2), 4, 0.0),
    "2-D one periodic element": ("periodic", (1, 1), 5, 0.3),
    "2-D one absorbing element": ("absorbing", (1, 1), 5, 0.3),
    "3-D reflecting": ("reflecting", (2, 3, 2), 3, 0.3),
    "3-D periodic": ("periodic", (3, 2, 2), 3, 0.3),
}


def operator_of(case):
    walls, elements, degree, diffusivity = CASES[case]
    return Operator.build(Mesh.build(((-1.0, 2.0),) * len(elements), walls, elements, degree), diffusivity)
