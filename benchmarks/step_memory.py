"""Peak memory of a training step of the planned configurations, counted by the planner and taken by a process.

    python benchmarks/step_memory.py -d DATASET [--workspace FOLDER] [-c NAME ...] [--batch_sizes 2 8]

On a CPU; the patches are the plan's. Each step runs in a process of its own.
"""

import argparse
import dataclasses

from gwunet.benchmark import Conditions, planned_candidates, run_alone
from gwunet.losses import LOSSES
from gwunet.networks import NETWORKS
from gwunet.planners.counting import count_step_memory
from gwunet.prepared import read_plans
from gwunet.workspace import Workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", dest="dataset", required=True)
    parser.add_argument("-c", dest="configurations", nargs="+")
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[2, 8])
    parser.add_argument("--workspace")
    arguments = parser.parse_args()
    workspace = Workspace.find(arguments.workspace)
    plans = read_plans(workspace, workspace.dataset_name(arguments.dataset))
    for candidate in planned_candidates(plans, arguments.configurations, size=(64, 64)):
        counted = count_step_memory(
            lambda spec=candidate.network: NETWORKS.get(spec.name)(**spec.arguments),
            LOSSES.get(candidate.loss.name)(**candidate.loss.arguments),
            candidate.loss_weights or (1.0,),
            candidate.patch_size,
            "cpu",
        )
        for batch_size in arguments.batch_sizes:
            step = dataclasses.replace(candidate, training_batch_size=batch_size)
            timings, failure = run_alone(step, Conditions(device="cpu", repeats=2))
            taken = timings["training"].peak_memory_mib if "training" in timings else None
            mib = counted.bytes_of(batch_size) / 2**20
            ratio = f"{mib / taken:.2f}" if taken else failure
            print(
                f"{candidate.label:<16} {batch_size} patches  counted {mib:6.0f} MiB  taken {taken or 0:6.0f}  {ratio}"
            )


if __name__ == "__main__":
    main()
