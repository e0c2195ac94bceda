"""In which order the unknowns of a mesh are eliminated: static condensation, then nested dissection of what is left.

Comes in: a mesh, and which of its unknowns are coupled. Goes out: fronts, groups of unknowns that are not coupled
with one another and are eliminated side by side, each with the boundary that it is coupled with.

The mesh is cut into strips of elements along its longest axis:

    1. the interiors of the elements, on which only the faces of their own element depend;
    2. in each strip, the nodes on the faces inside it;
    3. every other one of the planes between the strips, then every other one of the rest, and so on;
    4. the last two planes, the core, together.

For E × E elements of degree p in two dimensions the arrays hold E²p⁴ + E(Ep)² numbers and the elimination takes
about E²p⁶ + E(Ep)³ operations, against (Ep)⁶ for a dense matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from controlsde.fokker_planck.mesh import Axis, Mesh

Indices = NDArray[np.int64]

LARGEST_CORE = 2  # planes


@dataclass(frozen=True, eq=False)
class Front:
    """Groups of one size, next to one another in the order of elimination, and what is left of their couplings."""

    start: int  # place of the first unknown of the first group
    size: int  # unknowns of a group
    boundary: Indices  # (groups, b): places of the unknowns that each is coupled with, all of them eliminated later

    @property
    def groups(self) -> int:
        """Number of groups."""
        return len(self.boundary)

    @property
    def stop(self) -> int:
        """Place after the last unknown."""
        return self.start + self.groups * self.size

    @property
    def own(self) -> Indices:
        """(groups, size): places of the groups' unknowns."""
        return np.arange(self.start, self.stop).reshape(self.groups, self.size)


@dataclass(frozen=True, eq=False)
class Dissection:
    """`order` (n,) is the unknown in each place; the places from `core` on are eliminated last, all at once.

    The leaves are the fronts of the element interiors, whose own couplings no elimination has changed.
    """

    order: Indices
    leaves: tuple[Front, ...]
    fronts: tuple[Front, ...]
    core: int

    @property
    def skeleton(self) -> int:
        """Place of the first unknown that is not inside an element."""
        return self.leaves[-1].stop if self.leaves else 0


def dissect(mesh: Mesh, coupled: sp.csr_array) -> Dissection:
    """The order of elimination for unknowns (n,) of which those where `coupled` (n, n) is not zero are coupled."""
    nodes = _nodes(mesh)
    faces = np.stack([node % axis.degree == 0 for node, axis in zip(nodes, mesh.axes, strict=True)])
    elements = np.stack([node // axis.degree for node, axis in zip(nodes, mesh.axes, strict=True)])
    longest = int(np.argmax([axis.elements for axis in mesh.axes]))
    inside = ~faces.any(axis=0)
    strips = ~faces[longest] & ~inside
    element = np.ravel_multi_index(tuple(elements), tuple(axis.elements + 1 for axis in mesh.axes))
    position = elements[longest]
    symmetric = sp.csr_array((abs(coupled) + abs(coupled).T) != 0)

    interiors = _groups(np.flatnonzero(inside), element)
    rest = np.flatnonzero(~inside)
    place = np.full(mesh.mass.shape, -1)
    place[rest] = np.arange(len(rest))
    graph = symmetric[rest][:, rest].toarray()
    touched = [_others(symmetric, group) for group in interiors]
    for boundary in touched:
        graph[np.ix_(place[boundary], place[boundary])] = True
    leaves = list(zip(interiors, touched, strict=True))

    fronts: list[list[tuple[Indices, Indices]]] = []

    def eliminate(groups: list[Indices]) -> None:
        front = []
        for group in groups:
            own = place[group]
            near = graph[own].any(axis=0)
            near[own] = False
            graph[np.ix_(near, near)] = True
            graph[:, own] = False
            front.append((group, rest[near]))
        fronts.append(front)

    eliminate(_groups(np.flatnonzero(strips), position))
    planes = _groups(np.flatnonzero(faces[longest]), position)
    while len(planes) > LARGEST_CORE:
        eliminate(planes[1::2])
        planes = planes[::2]
    return _in_order(leaves, fronts, planes)


def _nodes(mesh: Mesh) -> Indices:
    """Index along each axis of the grid node of every unknown, (d, n)."""
    each = [_first_node(axis) for axis in mesh.axes]
    return np.stack([grid.ravel() for grid in np.meshgrid(*each, indexing="ij")])


def _first_node(axis: Axis) -> Indices:
    prolongation = axis.prolongation.tocsc()
    prolongation.sort_indices()
    return np.asarray(prolongation.indices[prolongation.indptr[:-1]], dtype=np.int64)


def _groups(unknowns: Indices, label: Indices) -> list[Indices]:
    """Unknowns with the same label together, in the order of the labels."""
    labels = label[unknowns]
    return [unknowns[labels == each] for each in np.unique(labels)]


def _others(coupled: sp.csr_array, group: Indices) -> Indices:
    """The unknowns outside a group that are coupled with it."""
    return np.setdiff1d(coupled[group].indices, group).astype(np.int64)


def _in_order(
    leaves: list[tuple[Indices, Indices]], fronts: list[list[tuple[Indices, Indices]]], core: list[Indices]
) -> Dissection:
    """Number the unknowns by when they are eliminated; groups of one shape become one front."""
    levels = [_by_shape(level) for level in (leaves, *fronts)]
    eliminated = [group for level in levels for front in level for group, _ in front]
    order = np.concatenate([*eliminated, *core]) if eliminated or core else np.empty(0, dtype=np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    made: list[list[Front]] = []
    start = 0
    for level in levels:
        made.append([])
        for front in level:
            size = len(front[0][0])
            made[-1].append(Front(start, size, np.stack([place[boundary] for _, boundary in front])))
            start = made[-1][-1].stop
    return Dissection(order, tuple(made[0]), tuple(front for level in made[1:] for front in level), start)


def _by_shape(level: list[tuple[Indices, Indices]]) -> list[list[tuple[Indices, Indices]]]:
    shapes: dict[tuple[int, int], list[tuple[Indices, Indices]]] = {}
    for group, boundary in level:
        if len(group):
            shapes.setdefault((len(group), len(boundary)), []).append((group, boundary))
    return list(shapes.values())
