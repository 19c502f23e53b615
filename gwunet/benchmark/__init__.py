"""What ``gw_benchmark`` measures: cost, time and memory of every network."""

from gwunet.benchmark.alone import run_alone
from gwunet.benchmark.candidates import VARIANTS, Candidate, named_candidates, planned_candidates
from gwunet.benchmark.measure import Conditions, Timing, measure
from gwunet.benchmark.plot import draw_cost_against_latency
from gwunet.benchmark.report import Machine, Report, Result, benchmark, this_machine
from gwunet.benchmark.table1 import TABLE1, PaperRow, table1_candidates

__all__ = [
    "TABLE1",
    "VARIANTS",
    "Candidate",
    "Conditions",
    "Machine",
    "PaperRow",
    "Report",
    "Result",
    "Timing",
    "benchmark",
    "draw_cost_against_latency",
    "measure",
    "named_candidates",
    "planned_candidates",
    "run_alone",
    "table1_candidates",
    "this_machine",
]
