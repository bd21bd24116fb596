"""Tests of the rules in api/domain."""
