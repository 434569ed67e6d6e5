"""Mechanisms, checkers and directories, without a network."""
