"""Enclosures: intervals that certainly hold all values of a function on a box, and all its slopes.

A sample says what a function is at a point; an enclosure says what it can be anywhere between. Where the two differ
much, something may hide, and the box is cut until they agree or the hidden thing is found.
"""

from controlsde.enclosures.formulas import Enclosure, enclose
from controlsde.enclosures.hidden import Hidden, hidden
from controlsde.enclosures.intervals import Interval

__all__ = ["Enclosure", "Hidden", "Interval", "enclose", "hidden"]
