"""What is killed: every command, with what it needs, where it may write and who reads it afterwards."""

import dataclasses
from collections.abc import Sequence

DATASET = "Dataset901_Faults"
QUICK = ["--epochs", "2", "--iterations", "2", "--device", "cpu"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A command to kill; ``{}`` in its arguments stands for the workspace."""

    command: str
    arguments: Sequence[str]
    again: Sequence[str] | None = None
    """What a user gives the second time, where that is not the same."""
    later: Sequence[str]
    """A command, with its arguments, that reads what this one writes."""
    removed: Sequence[str] = ()
    """Of the finished workspace, what this command has not made yet."""
    replaces: Sequence[str] = ()
    """Where it may write; everything else stays as it is."""
    again_status: int = 0

    @property
    def second(self) -> Sequence[str]:
        return self.arguments if self.again is None else self.again


RAW, PREPARED, RESULTS = f"raw/{DATASET}", f"preprocessed/{DATASET}", f"results/{DATASET}"
MODEL = f"{RESULTS}/fganet__FGANetTrainer"
W = ("--workspace", "{}")
PREDICT = ("-i", "{}/" + RAW + "/imagesTs", "-d", "901", "--device", "cpu", "--overlay", "--save_probabilities", *W)
PREDICTED = ("gw_predict", *PREDICT, "-o", "{}/again", "--continue")
EVALUATED = ("-r", "{}/" + RAW + "/labelsTs", "-p", "{}/A", "-np", "1")
SYNTHESIZED = ("Dataset905_Made", "--patients", "2", "--sequences", "1", "--frames", "2", "--size", "64", *W)
JOBS = {
    "synthesize": Job(
        command="gw_synthesize",
        arguments=SYNTHESIZED,
        later=("gw_plan_and_preprocess", "-d", "905", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W),
        replaces=["raw/Dataset905_Made"],
    ),
    "plan": Job(
        command="gw_plan_and_preprocess",
        arguments=("-d", "901", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W),
        later=("gw_train", "901", "1", "--continue", "--overwrite", *QUICK, *W),
        removed=[PREPARED],
        replaces=[PREPARED],
    ),
    "train": Job(
        command="gw_train",
        arguments=("901", "0", *QUICK, *W),
        again=("901", "0", "--continue", *QUICK, *W),
        later=PREDICTED,
        removed=[f"{MODEL}/fold_0"],
        replaces=[MODEL + "/fold_0", MODEL + "/plans.json", MODEL + "/dataset.json"],
    ),
    "train again": Job(
        command="gw_train",
        arguments=("901", "0", "--overwrite", *QUICK, *W),
        again=("901", "0", "--continue", *QUICK, *W),
        later=PREDICTED,
        replaces=[MODEL + "/fold_0", MODEL + "/plans.json", MODEL + "/dataset.json"],
    ),
    "predict": Job(
        command="gw_predict",
        arguments=(*PREDICT, "-o", "{}/A", "--continue"),
        later=("gw_evaluate", *EVALUATED),
        removed=["A"],
        replaces=["A"],
    ),
    "track": Job(
        command="gw_predict",
        arguments=(*PREDICT, "-o", "{}/A", "--track"),
        later=("gw_evaluate", *EVALUATED),
        replaces=["A"],
    ),
    "evaluate": Job(
        command="gw_evaluate",
        arguments=EVALUATED,
        later=("gw_report", "901", "-p", "{}/A", "-o", "{}/page.html", *W),
        replaces=["A/summary.json", "A/summary.csv", "A/summary_patients.csv", "A/summary_wires.csv"],
    ),
    "find best": Job(
        command="gw_find_best_configuration",
        arguments=("901", "-np", "1", "--device", "cpu", *W),
        later=PREDICTED,
        removed=[MODEL + "/cross_validation.json", MODEL + "/postprocessing.json"],
        replaces=[RESULTS],
    ),
    "ensemble": Job(
        command="gw_ensemble",
        arguments=("-i", "{}/A", "{}/B", "-o", "{}/E", "--save_probabilities"),
        later=("gw_evaluate", "-r", "{}/" + RAW + "/labelsTs", "-p", "{}/E", "-np", "1"),
        removed=["E"],
        replaces=["E"],
    ),
    "convert masks": Job(
        command="gw_convert",
        arguments=("masks", "{}/" + RAW + "/imagesTr", "Dataset906_M", "--masks", "{}/" + RAW + "/labelsTr", *W),
        later=("gw_plan_and_preprocess", "-d", "906", "-c", "fganet", "--target_device", "cpu", "-np", "1", *W),
        replaces=["raw/Dataset906_M"],
    ),
    "convert dicom": Job(
        command="gw_convert",
        arguments=("dicom", "{}/hospital", "Dataset907_D", *W),
        later=("gw_predict", "-i", "{}/raw/Dataset907_D/imagesTs", "-o", "{}/again", "-d", "901", *W),
        replaces=["raw/Dataset907_D"],
    ),
    "export zip": Job(
        command="gw_export",
        arguments=("901", "-o", "{}/model.zip", "--format", "zip", *W),
        later=("gw_import", "{}/model.zip", "--name", "Dataset908_Given", *W),
        removed=["model.zip"],
        replaces=["model.zip"],
    ),
    "export onnx": Job(
        command="gw_export",
        arguments=("901", "-o", "{}/model.onnx", *W),
        later=("gw_predict", "-i", "{}/" + RAW + "/imagesTs", "-o", "{}/again", "-m", "{}/model.onnx"),
        removed=["model.onnx"],
        replaces=["model.onnx"],
    ),
    "import": Job(
        command="gw_import",
        arguments=("{}/given.zip", "--name", "Dataset909_Given", *W),
        later=("gw_predict", "-i", "{}/" + RAW + "/imagesTs", "-o", "{}/again", "-d", "909", "--device", "cpu", *W),
        replaces=["results/Dataset909_Given"],
    ),
    "report": Job(
        command="gw_report",
        arguments=("901", "-p", "{}/A", "-o", "{}/page.html", *W),
        later=PREDICTED,
        replaces=["page.html"],
    ),
    "explain": Job(
        command="gw_explain",
        arguments=("901", "-n", "1", "--device", "cpu", "-o", "{}/explained", *W),
        later=("gw_report", "901", "-o", "{}/page.html", *W),
        replaces=["explained"],
    ),
    "benchmark": Job(
        command="gw_benchmark",
        arguments=("-d", "901", "--no_timing", "-o", "{}/measured", *W),
        later=PREDICTED,
        replaces=["measured"],
    ),
    "demo": Job(
        command="gw_demo",
        arguments=("-o", "{}/demo", "--minutes", "0.1"),
        later=(
            "gw_predict",
            "-i",
            "{}/" + RAW + "/imagesTs",
            "-d",
            "900",
            "-o",
            "{}/again",
            "--workspace",
            "{}/demo/workspace",
        ),
        again=("-o", "{}/demo", "--minutes", "-1", "--overwrite"),
        replaces=["demo"],
        again_status=2,
    ),
}
