"""The objective in one dimension, compiled: the discrete problem of `interpreted`, some ten times as fast.

The loops are in C (`controlsde/compiled/line_kernels.h`), for vectors of eight numbers, with nothing in them but
arrays. Where they are not there, or where their own residuals say that they were not good enough, the interpreted
objective does the work.
"""
