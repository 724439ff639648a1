"""NumPy programs with loops, as scientists write them: none knows of weft. One file per family."""

from . import (
    counting,
    dynamics,
    factorizations,
    fluids,
    fractals,
    implicit,
    particles,
    sequences,
    solvers,
    stencils,
    tables,
    triangular,
    waves,
)
from .record import Program

FAMILIES = (stencils, fluids, waves, particles, fractals, solvers, factorizations, tables, implicit, dynamics)
FAMILIES += (sequences, counting, triangular)
PROGRAMS = [program for family in FAMILIES for program in family.PROGRAMS]
BY_NAME = {program.name: program for program in PROGRAMS}
__all__ = ["BY_NAME", "FAMILIES", "PROGRAMS", "Program"]
