"""One training from its recipe to scores, pictures and exported models."""

import time
from pathlib import Path

from keras_segattn.atomic_files import write_json
from keras_segattn.callbacks import save_atomically
from keras_segattn.command.flags import options_of, recipe_of
from keras_segattn.command.interruption import told_in_one_line
from keras_segattn.export import export_model
from keras_segattn.training import (
    RunFolder,
    draw_predictions,
    evaluate,
    has_labels,
    print_scores,
    train,
)
from keras_segattn.visualization import plot_history


def main(arguments, open_data):
    """Trains, evaluates, draws and exports according to an example's flags.

    Args:
        arguments: Arguments parsed by the parser of `argument_parser`.
        open_data: Function from the checked arguments to a dict of `SegmentationDataset`:
            `"train"`, `"val"` and, if available, `"test"`.
    """
    run = RunFolder(arguments.run or Path("runs") / arguments.recipe)
    with told_in_one_line(run, arguments.strategy in ("none", "mirrored")):
        recipe, options = recipe_of(arguments), options_of(arguments)
        data = open_data(arguments)
        run_job(recipe, data, run, options, resume=arguments.resume, formats=arguments.formats)


def run_job(recipe, data, run, options, *, resume=False, formats=(), callbacks=()):
    """Trains with a recipe; writes scores, pictures and exported models to the run folder.

    Args:
        recipe: A `Recipe`.
        data: Dict of `SegmentationDataset`: `"train"`, `"val"`, and `"test"` if there is one.
        run: A `RunFolder`.
        options: A `TrainingOptions`.
        resume: Boolean, whether to resume a run in the folder. Defaults to `False`.
        formats: Names of formats to export to. Defaults to none.
        callbacks: Further Keras callbacks. Defaults to none.

    Returns:
        Dict from `"val"` and `"test"` to their scores, as `evaluate` returns them; `None` in
        processes that write no files.
    """
    start = time.time()
    model = train(recipe, data, run.path, options, resume=resume, callbacks=callbacks)
    if model is None:
        print("training finished; the first process evaluates and exports")
        return None
    plot_history(run.path / "curves.png", run.log)
    save_atomically(model, run.path / "model.keras")

    # The validation set selected the best epoch; the test set is used only here, once.
    metrics = {}
    for split in [split for split in ("val", "test") if split in data]:
        if not has_labels(data[split]):
            print(f"not evaluated on {split}, because it has no labels")
            continue
        print(f"evaluating on {split}", recipe.evaluation or "")
        folder = run.path / "evaluation" / split
        metrics[split] = evaluate(model, data[split], folder, best=4, **recipe.evaluation)
        print_scores(metrics[split])
        pictures = run.path / "predictions" / f"{split}.png"
        draw_predictions(model, data[split], pictures, **recipe.evaluation)
    write_json(run.path / "metrics.json", {"evaluation": recipe.evaluation, **metrics})

    image, _ = data["val"].read(0)
    for name in formats:
        path = run.path / "export" / ("model.onnx" if name == "onnx" else name)
        images, size = [image, image[1:, :-7]], recipe.evaluation.get("size")
        print("exported", export_model(model, path, name, images=images, network_size=size))
    print(f"done: {run.path}, {time.time() - start:.0f} s")
    return metrics
