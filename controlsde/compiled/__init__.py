"""The loops in C, and the library through which Python calls them. What a loop computes is said where it is called.

- `line`: the objective and its derivatives in one dimension (`tracking.line`);
- `fronts`: factors and solves of the state equation by static condensation and nested dissection
  (`fokker_planck.front_stages`).

`setup.py` compiles them when the package is installed, for several instruction sets in one library, of which each
processor takes the widest that it has. Without them Python does the same work.
"""
