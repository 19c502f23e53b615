"""The parts of ``fault_bench.py``: what is killed, how commands run, how what they leave is judged, and the kills."""
