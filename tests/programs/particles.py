"""Particles: gravity, springs, charges on a grid, spins."""

import numpy as np

from .record import Program


def acceleration(pos, mass, G, softening):
    """Pairwise, with all differences at once."""
    dx = pos[:, 0:1].T - pos[:, 0:1]
    dy = pos[:, 1:2].T - pos[:, 1:2]
    dz = pos[:, 2:3].T - pos[:, 2:3]
    inv_r3 = (dx**2 + dy**2 + dz**2 + softening**2) ** (-1.5)
    a = np.zeros_like(pos)
    a[:, 0] = G * np.sum(dx * inv_r3 * mass, axis=1)
    a[:, 1] = G * np.sum(dy * inv_r3 * mass, axis=1)
    a[:, 2] = G * np.sum(dz * inv_r3 * mass, axis=1)
    return a


def nbody(pos, vel, mass, dt, steps):
    """Leapfrog: kick, drift, kick."""
    acc = acceleration(pos, mass, 1.0, 0.1)
    for _ in range(steps):
        vel += acc * dt / 2.0
        pos += vel * dt
        acc = acceleration(pos, mass, 1.0, 0.1)
        vel += acc * dt / 2.0
    return pos, vel


def nbody_pairs(x, v, m, dt, steps):
    """The same by loops over pairs."""
    n = x.shape[0]
    for _ in range(steps):
        for i in range(n):
            ax = 0.0
            ay = 0.0
            az = 0.0
            for j in range(n):
                if i != j:
                    dx = x[j, 0] - x[i, 0]
                    dy = x[j, 1] - x[i, 1]
                    dz = x[j, 2] - x[i, 2]
                    d2 = dx * dx + dy * dy + dz * dz + 0.01
                    w = m[j] / (d2 * np.sqrt(d2))
                    ax += dx * w
                    ay += dy * w
                    az += dz * w
            v[i, 0] += dt * ax
            v[i, 1] += dt * ay
            v[i, 2] += dt * az
        for i in range(n):
            for k in range(3):
                x[i, k] += dt * v[i, k]
    return x, v


def spring_chain(x, k, dt, steps):
    """Velocity Verlet of a chain of springs with fixed ends."""
    v = np.zeros_like(x)

    def force(x):
        f = np.zeros_like(x)
        stretch = x[1:] - x[:-1] - 1.0
        f[:-1] += k * stretch
        f[1:] -= k * stretch
        f[0] = 0.0
        f[-1] = 0.0
        return f

    f = force(x)
    for _ in range(steps):
        x = x + v * dt + 0.5 * f * dt**2
        new = force(x)
        v = v + 0.5 * (f + new) * dt
        f = new
    return x


def particle_in_cell(x, v, n_cells, dt, steps):
    """Electrons in a box of length 1: deposit, field, push. Returns the field's energy at each step."""
    n = x.shape[0]
    dx = 1.0 / n_cells
    energy = np.zeros(steps)
    for t in range(steps):
        rho = np.zeros(n_cells)
        for p in range(n):
            cell = int(x[p] / dx)
            frac = x[p] / dx - cell
            rho[cell % n_cells] += (1.0 - frac) / (n * dx)
            rho[(cell + 1) % n_cells] += frac / (n * dx)
        e = np.zeros(n_cells)
        total = 0.0
        for c in range(1, n_cells):
            total += dx * (0.5 * (rho[c - 1] + rho[c]) - 1.0)
            e[c] = total
        mean = np.mean(e)
        for p in range(n):
            cell = int(x[p] / dx)
            frac = x[p] / dx - cell
            field = (1.0 - frac) * e[cell % n_cells] + frac * e[(cell + 1) % n_cells] - mean
            v[p] -= field * dt
            x[p] += v[p] * dt
            if x[p] < 0.0:
                x[p] += 1.0
            elif x[p] >= 1.0:
                x[p] -= 1.0
        energy[t] = 0.5 * dx * np.sum((e - mean) ** 2)
    return energy


def ising(spins, beta, picks, uniforms):
    """Metropolis sweeps of the Ising model, single spins given by random numbers."""
    n, m = spins.shape
    for k in range(picks.shape[0]):
        i, j = picks[k]
        around = spins[(i + 1) % n, j] + spins[(i - 1) % n, j] + spins[i, (j + 1) % m] + spins[i, (j - 1) % m]
        cost = 2 * spins[i, j] * around
        if cost <= 0 or uniforms[k] < np.exp(-beta * cost):
            spins[i, j] = -spins[i, j]
    return spins


def _stars(rng, n, trips):
    return rng.standard_normal((n, 3)), 0.1 * rng.standard_normal((n, 3)), rng.random(n) + 0.5, 0.01, trips


def _plasma(rng, n, trips):
    return rng.random(n), 0.1 * rng.standard_normal(n), 16, 0.01, trips


def _magnet(rng, n, trips):
    return rng.choice([-1, 1], (n, n)), 0.4, rng.integers(0, n, (trips, 2)), rng.random(trips)


PROGRAMS = [
    Program(nbody, _stars, (6, 10), (100, 100), (0, 2)),
    Program(nbody_pairs, _stars, (5, 9), (100, 20), (0, 2)),
    Program(
        spring_chain,
        lambda rng, n, trips: (np.arange(n) + 0.2 * rng.standard_normal(n), 2.0, 0.05, trips),
        (10, 20),
        (1000, 1000),
        (0, 1),
    ),
    Program(particle_in_cell, _plasma, (40, 10), (1000, 50)),
    Program(ising, _magnet, (8, 200), (64, 100_000)),
]
