"""How well wires are located in what a trained model predicts of simulated patients that it never saw.

    python benchmarks/predicted_wires.py -o OUT -d 900 --workspace FOLDER [--predict=-f --predict=0] [--patients 20]

The model of ``gw_demo`` is dataset 900 of the workspace in its folder. Frames are simulated as that dataset's were but
for the seed, predicted by ``gw_predict`` and scored by ``gw_evaluate``; prints a row of a table.
"""

import argparse
import json
from pathlib import Path

from shared.installed import run_installed

FRAMES = "Dataset901_Unseen"
LEARNT_FROM = 2
"""The simulator wants patients to train on beside those of the test; they are not used."""


def main() -> None:
    """Simulate, predict, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", dest="output", type=Path, required=True)
    parser.add_argument("-d", dest="dataset", required=True, help="of the trained model")
    parser.add_argument("--workspace", required=True, help="of the trained model")
    parser.add_argument(
        "--predict", action="append", default=[], metavar="FLAG", help="for gw_predict; may be repeated"
    )
    parser.add_argument("--patients", type=int, default=20)
    parser.add_argument("--size", type=int, default=384, help="edge of the frames, pixels")
    parser.add_argument("--seed", type=int, default=1000, help="not the one of the frames that were learnt from")
    arguments = parser.parse_args()
    raw = arguments.output / "raw" / FRAMES
    if not raw.exists():
        patients = {"--patients": arguments.patients + LEARNT_FROM, "--test_patients": arguments.patients}
        options = {**patients, "--sequences": 3, "--frames": 2, "--size": arguments.size, "--seed": arguments.seed}
        words = [str(word) for option in options.items() for word in option]
        run_installed("gw_synthesize", FRAMES, *words, "--workspace", str(arguments.output))
    masks, scores = arguments.output / "predictions", arguments.output / "summary.json"
    model = ["-d", arguments.dataset, "--workspace", arguments.workspace, *arguments.predict]
    run_installed("gw_predict", "-i", str(raw / "imagesTs"), "-o", str(masks), "--overwrite", *model)
    run_installed("gw_evaluate", "-r", str(raw / "labelsTs"), "-p", str(masks), "-o", str(scores))
    summary = json.loads(scores.read_text(encoding="utf-8"))
    wires = summary["localization"]["all_frames"]
    tip, within = wires["tip_error_px"], wires["tips_within_px"]
    row = {
        "frames": str(summary["n_frames"]),
        "Dice": f"{summary['pooled']['dice']:.3f}",
        "wires": str(wires["n_wires"]),
        "tip error median": f"{tip['median']:.2f}",
        "95 %": f"{tip['p95']:.0f}",
        "within 3, 5, 9 px": ", ".join(f"{100 * within[limit]:.0f} %" for limit in ("3", "5", "9")),
        "ends exchanged": f"{100 * wires['ends_swapped']:.1f} %",
        "frames with a missed wire": f"{100 * wires['frames_with_missed']:.1f} %",
        "with a false one": f"{100 * wires['frames_with_false']:.1f} %",
    }
    print("| " + " | ".join(row) + " |\n|" + "---|" * len(row) + "\n| " + " | ".join(row.values()) + " |")


if __name__ == "__main__":
    main()
