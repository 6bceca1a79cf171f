"""Paredown: pare a CNN down to what your accuracy budget allows."""

__version__ = "0.1.0"
