"""The version of Paredown, where every module can read it."""

__version__ = "0.5.0.dev0"
