"""Booking under load: one file per question, `world.py` for the server and its rows, `clients.py` for the people."""
