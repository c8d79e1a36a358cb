"""Readers of what comes from outside: size, depth, type and time are limited here, once for all."""
