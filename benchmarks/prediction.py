"""Masks of a folder of 512x512 frames, gwunet and nnU-Net v2 in turn: frames per second, and the first mask of a cold start.

    python benchmarks/prediction.py -o OUT --nnunet VENV --nnunet_trainer FILE [--frames 100] [--repeats 3]

Both programs plan the same simulated frames by themselves, are trained for next to no time (masks are poor, their cost
is the same), and predict with one fold and without mirrored copies, by their own commands; a second gwunet model has
about as many multiply-accumulates in a frame as nnU-Net's network. gwunet predicts as it is, and with the flags named
in the table. nnU-Net's frames per second are of the frames beyond one: its time for all of them less its time for one,
so that its start does not count. gwunet's whole command counts.

VENV and FILE are those of equal_time.py. Writes OUT/prediction.md.
"""

import argparse
import dataclasses
import json
import shutil
import statistics
import sysconfig
from pathlib import Path

from gwunet.benchmark.installed import run_installed
from gwunet.benchmark.nnunet import Peer, copy_for_nnunet, run_logged
from gwunet.dataset import Dataset
from gwunet.device import available_cores
from gwunet.jsonio import parse_json, read_json, write_json
from gwunet.plans import Plans, Spec
from gwunet.synthetic import synthesize_dataset

NAME, NUMBER, EDGE = "Dataset923_Prediction", "923", 512
SEQUENCES, FRAMES_OF_SEQUENCE = 2, 5
WANTED_GMACS = 59.5
"""Of nnU-Net's default network on such a frame."""
EQUAL = "fganet_equal"
EQUAL_FEATURES = (32, 64, 96, 192, 256, 384)
"""FGA-Net of about as many multiply-accumulates; the count is printed."""
