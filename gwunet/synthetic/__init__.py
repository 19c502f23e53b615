"""Simulated fluoroscopy: sequences of X-ray frames in which the wires' true centrelines are known."""

from gwunet.synthetic.dataset import synthesize_dataset
from gwunet.synthetic.sequence import SimulatedFrame, SimulatedWire, simulate_sequence

__all__ = ["SimulatedFrame", "SimulatedWire", "simulate_sequence", "synthesize_dataset"]
