"""Weights and inputs that a formula makes of a tensor's name and role: any program that knows the formula has the same ones, bit for
bit. (`Filler::Formula` in `runtime/src/weights/fill.rs` is the same formula.)"""

import math

import numpy as np


def uniform(name, shape):
    """Float32 in [0, 1), in row-major order: number i is the top 24 bits of splitmix64(fnv1a64(name) + i)."""
    z = np.uint64(fnv1a64(name)) + np.arange(math.prod(shape), dtype=np.uint64)
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)).reshape(shape)


def fill(name, shape, role, fan_in=None):
    """The elements of a tensor. `fan_in`: of a kernel, how many of its elements go into one of the output."""
    u = uniform(name, shape)
    around_zero = np.float32(2) * u - np.float32(1)
    match role:
        case "kernel":
            return around_zero * np.float32(math.sqrt(3.0 / fan_in))
        case "bias":
            return around_zero * np.float32(0.1)
        case "gamma":
            return np.float32(0.6) + np.float32(0.6) * u
        case "beta" | "mean":
            return around_zero * np.float32(0.2)
        case "variance":
            return np.float32(0.5) + u
        case "slope":
            return np.float32(0.05) + np.float32(0.4) * u
        case "exponent":
            return np.float32(2) + np.float32(2) * u
        case "input":
            return around_zero * np.float32(2)
    raise ValueError(role)


def fnv1a64(text):
    """The 64-bit FNV-1a hash (Fowler, Noll and Vo)."""
    hash = 0xCBF29CE484222325
    for byte in text.encode():
        hash = ((hash ^ byte) * 0x100000001B3) % 2**64
    return hash
