"""The steps of the analysis: what the original does in each, what this program does, and how the two are compared.

This is the part of `docs/fidelity.md` that is written by hand; numbers are not in it, except tolerances with their reasons.
`document.py` joins it with the records of a run. A comparison is measured by `compare.py` or `study.py` under its name here.
"""

from dataclasses import dataclass, field

COMMIT = "d89fa8e927b7322ae9ec13dbe432174d5ad63fa4"
# Of the files that are read or run, as `original.digest` takes it.
DIGEST = "7076b65e53cbad7bf958110b6e144c09425860292ee3a9b49033a17ce5e101a4"


@dataclass(frozen=True)
class Comparison:
    """One measured comparison: what is compared, in which unit, by which rule of `records.py`, and why that tolerance."""

    name: str
    quantity: str
    unit: str
    rule: str
    tolerance: float
    why: str


@dataclass(frozen=True)
class Step:
    """A step of the analysis. `by_design` says where the program does otherwise on purpose, and how to have the original's way;
    `tests` are tests that hold the step in every run of the test suite, as `FILE: FUNCTION`."""

    id: str
    title: str
    original: str
    sources: tuple
    ours: str
    compared: str
    comparisons: tuple
    by_design: str = ""
    tests: tuple = field(default_factory=tuple)


LABELS = "labels are whole numbers"

STEPS = (
    Step(
        id="projection",
        title="The map: from the sphere to the plane",
        original="Turns the sphere that is registered to fsaverage so that the occipital pole faces the viewer and a second landmark lies on the "
        "x axis, keeps the triangles whose three corners lie within a radius of the pole, and drops the third coordinate.",
        sources=("neuropythy 0.13.0, `geometry/mesh.py`: `MapProjection`; `lib/projections/{lh,rh}.occipital_pole.mp.json`",),
        ours="`flatmap/images` and all kinds that need places on the map, with the same landmarks and the radius as a parameter "
        "(`radius`, 80 degrees, as the study has it for subjects of the Human Connectome Project).",
        compared="Both hemispheres of fsaverage5 (10 242 vertices each), at the radius of HCP (pi / 2.25) and that of other subjects (pi / 2).",
        comparisons=(
            Comparison("projection/mesh", "vertices and triangles of the map", "indices differ", "equal", 0, "indices are whole numbers"),
            Comparison("projection/coordinates", "coordinates of the vertices, a sphere's radius being 100", "units", "within", 1e-5,
                       "the program's file rounds to 32 bits: 4e-6 at 98 units"),
        ),
        tests=("stages/src/numeric/flatmap.rs",),
    ),
    Step(
        id="images",
        title="The images: from maps to pixels",
        original="For each hemisphere, spans a grid of 512 x 512 pixels over the bounding box of the map's vertices, keeps the pixels in a disc whose "
        "radius comes from the box (with the middles of x and y exchanged), finds the triangle of each, and paints: measured maps linearly between "
        "the three corners, leaving out corners without a value; labels as the corner with the largest weight. What is outside is 0, and so is "
        "what has no value. Left and right lie side by side.",
        sources=("`image/_data.py`: `FlatmapImageCache.flatmap_imaddrs`, `fill_view`", "`benson2025/hcp/_datasets.py`: `HCPImageCache`",
                 "neuropythy 0.13.0, `util/core.py`: `address_interpolate`"),
        ours="`flatmap/images` and `flatmap/labels` with `pixels: 512`; the exchanged middles and the grid in 32 bits included. Places of pixels are multiplied and added "
        "with one rounding, as torch does on every processor that can (AVX2 and later); on older ones torch itself has others, and values that differ by up to 9e-4.",
        compared="The original's `HCPDataset` paints all 14 channels and 8 labels of the fsaverage5 subject from its surfaces; both images are compared "
        "pixel by pixel. Without the original's repository, the same steps in Python over neuropythy's `address` and `address_interpolate`.",
        comparisons=(
            Comparison("images/channels", "14 channels, in mm, mm2, 1/mm, degrees or shares", "in the unit of the channel", "within", 1e-5,
                       "the last of 32 bits is 7.6e-6 at 100 mm"),
            Comparison("images/labels", "8 labels, 0 or 1", "pixels differ", "equal", 0, LABELS),
            Comparison("images/painted", "how many pixels are painted, and how many carry each label", "counts differ", "equal", 0, "counts"),
            Comparison("images/neuropythy", "the same 22 images, by neuropythy's functions alone", "in the unit of the channel", "within", 1e-5, "as above"),
        ),
        by_design="The original fails where pixel addresses outside of the mesh meet a mesh whose vertex 0 is not on the map. The program does not; "
        "for the comparison, vertex 0 of fsaverage5 is exchanged with one in V1.",
        tests=("stages/src/numeric/flatmap.rs: the_grid_is_that_of_libtorch_to_the_last_bit", "stages/src/flatmap/images.rs", "stages/src/flatmap/targets.rs"),
    ),
    Step(
        id="alignment",
        title="Subjects of other datasets",
        original="For subjects outside of the Human Connectome Project: takes coordinates halfway between white and pial, interpolates those of fsaverage to the "
        "subject's vertices through the registered spheres, and moves the subject's onto them: centres first, then the rotation with the least squared distances, each "
        "hemisphere on its own. Depth is divided by ten, and the map reaches 90 degrees from the pole.",
        sources=("`benson2025/nyu/_datasets.py`: `NYUImageCache.make_flatmap`", "`util/_core.py`: `rigid_align_cortices`", "neuropythy 0.13.0, `freesurfer/core.py`"),
        ours="`freesurfer/subject`, then `flatmap/images` with `alignment: fsaverage` and `radius: 90`; a model that was trained so asks for it by its options.",
        compared="The original's `NYUImageCache` paints the seven anatomical channels of a FreeSurfer folder that neuropythy reads: fsaverage5 with its sphere turned, "
        "and its surfaces made smaller, turned by 37 degrees and moved. fsaverage5 as it is takes the place of fsaverage, which no package has.",
        comparisons=(
            Comparison("alignment/coordinates", "x, y and z after the alignment, in mm", "mm", "within", 5e-5,
                       "points halfway between white and pial, and aligned ones, are rounded to 32 bits here (7.6e-6 at 100 mm); the original keeps 64"),
            Comparison("alignment/maps", "curvature, depth, thickness, area", "in the unit of the channel", "within", 1e-5, "as for the images; depth is rounded once more"),
        ),
        tests=("stages/src/numeric/rigid_alignment.rs", "stages/src/flatmap/images.rs: images_for_a_network_are_as_its_options_say"),
    ),
    Step(
        id="resize",
        title="Resizing",
        original="Makes the images of training from the painted ones by torchvision's bilinear `Resize` with antialiasing, on the joined image of "
        "both hemispheres, labels included: targets are fractions at borders.",
        sources=("`image/_data.py`: `ImageCacheDataset.__getitem__`",),
        ours="`pixels` of `flatmap/images` and `flatmap/labels`; widths of the filter and borders as in libtorch.",
        compared="The original's `HCPDataset` at 128 x 256; torchvision's `Resize` at 64 and 50 (not a divisor of 512); Pillow's filter at all three.",
        comparisons=(
            Comparison("resize/study", "the images and targets that networks are trained on, 128 x 256", "in the unit of the channel", "within", 1e-4,
                       "torch adds with 32 bits, the program with 64"),
            Comparison("resize/torchvision", "images and targets of 64 x 128 and 50 x 100", "in the unit of the channel", "share", 1e-4,
                       "as above; and torch computes weights with 32 bits, which at 50 pixels, no divisor of 512, shows at the rim of the map"),
            Comparison("resize/pillow", "images and targets 128, 64 and 50 pixels high, from neuropythy's", "in the unit of the channel", "within", 2e-5,
                       "Pillow rounds to 32 bits between columns and rows"),
        ),
        tests=("stages/src/numeric/resize.rs",),
    ),
    Step(
        id="fields",
        title="Receptive fields, from fs_LR to the subject",
        original="Takes the results of all runs from a file with all subjects, on grayordinates of the fs_LR mesh with 59 292 vertices a hemisphere; gives those "
        "that are cortex to the mesh; and gives each native vertex the value of the nearest fs_LR vertex, both on their spheres under MSMAll. What it brings over is x and "
        "y in the visual field, computed from angle and eccentricity, the size of the field, and the share of variance that is explained.",
        sources=("neuropythy 0.13.0, `datasets/hcp.py`: `HCPRetinotopyDataset`, `calc_native_properties`; `hcp/files.py`: `cifti_split`",),
        ours="`prf/import`.",
        compared="`HCPRetinotopyDataset` on a results file with random numbers that the program wrote (two subjects, two splits, every 17th grayordinate missing), with the real "
        "masks of cortex. The native mesh is that of fsaverage5, turned; the points of fs_LR, which no package has, are replaced by as many evenly on a sphere.",
        comparisons=(
            Comparison("fields/there", "which vertices have a value: x, y, size, share of variance", "vertices differ", "equal", 0, "yes or no"),
            Comparison("fields/values", "the values, in degrees and as a share, 0 to 1", "in the unit of the map", "within", 2e-6,
                       "both files have 32 bits; the original goes from angles to other angles and back before it takes sines"),
        ),
        tests=("stages/src/prf/from_grayordinates.rs",),
    ),
    Step(
        id="labels",
        title="Areas and rings",
        original="Raters give an area and a sector to each vertex; the digit of a sector's name is its ring, and a vertex of V1 to V3 whose sector is "
        "none of those from 0.5 degrees on is in the innermost. Template and inferred maps give an area and an eccentricity; rings are half-open "
        "bands (0, 0.5, 1, 2, 4, 7 degrees), and areas end at 7 degrees.",
        sources=("`util/_core.py`: `sectors_to_rings`", "`plot/_core.py`: `calc_visual_area`, `calc_visual_ring`"),
        ours="`labels/import` (from a rater's HDF5 file), `labels/template`, `labels/inferred`.",
        compared="All 108 pairs of an area (0 to 3) and a sector (0 to 26), through an HDF5 file; all 13 areas of the template with eccentricities at, just "
        "below and just above every edge.",
        comparisons=(
            Comparison("labels/sectors", "ring of each pair of an area and a sector", "rings differ", "equal", 0, LABELS),
            Comparison("labels/bands", "area and ring of each area with an eccentricity", "labels differ", "equal", 0, LABELS),
        ),
        tests=("stages/src/labels/from_file.rs: the_ring_of_a_sector_is_the_digit_in_its_name",),
    ),
    Step(
        id="prior",
        title="The prior",
        original="Interpolates the Benson 2014 template from fsaverage to the subject through the registered spheres: numbers linearly, areas from the "
        "corner with the largest weight.",
        sources=("`plot/_core.py`: `add_prior`", "neuropythy 0.13.0, `vision/retinotopy.py`: `predict_retinotopy`"),
        ours="`labels/template`.",
        compared="`predict_retinotopy` of neuropythy on a fsaverage5 whose sphere is turned by three degrees, so that its vertices lie between those "
        "of fsaverage. No fsaverage ships with the package: it gets fsaverage's triangles with the coordinates of a subdivided icosahedron.",
        comparisons=(Comparison("prior/labels", "area and ring of each vertex, both hemispheres", "labels differ", "equal", 0, LABELS),),
        tests=("stages/src/labels/from_template.rs",),
    ),
    Step(
        id="logits",
        title="The network",
        original="A U-Net over a ResNet-18 or ResNet-34 of torchvision: encoder with batch normalisation, decoder of convolutions with bias, bilinear "
        "upsampling with aligned corners, a branch at the original size; logits come out.",
        sources=("`image/_model.py`: `UNet`",),
        ours="`unet/train` and `unet/predict`; weights have the original's names.",
        compared="The original's `UNet` loads weights that the program wrote, strictly by name; two images of 128 x 256 go through both. ResNet-18 has 7 "
        "channels and 3 classes, ResNet-34 11 and 5.",
        comparisons=(
            Comparison("logits/resnet18-64", "ResNet-18: logits with 64 bits, running and batch statistics", "of the mean logit's size", "within", 1e-10,
                       "only the order of additions differs"),
            Comparison("logits/resnet34-64", "ResNet-34: logits with 64 bits, running and batch statistics", "of the mean logit's size", "within", 1e-10,
                       "only the order of additions differs"),
            Comparison("logits/resnet18-32", "ResNet-18: the same with 32 bits, as pipelines compute", "of the mean logit's size", "within", 1e-3,
                       "32 bits through 40 layers; a ReLU near zero may go either way"),
            Comparison("logits/resnet34-32", "ResNet-34: the same with 32 bits, as pipelines compute", "of the mean logit's size", "within", 1e-3,
                       "32 bits through 50 layers; a ReLU near zero may go either way"),
        ),
        tests=("stages/torch/tests/suite/against_pytorch.rs: networks_agree_with_pytorch",),
    ),
    Step(
        id="losses",
        title="Losses and gradients",
        original="Cross-entropy, summed over classes, each weighted by its share of negative pixels in the batch; Dice loss with squared sizes and "
        "a smoothing of 1, the mean over samples and classes; a weighted sum of both.",
        sources=("`util/_core.py`: `bce_loss`, `dice_loss`, `loss`",),
        ours="`unet/train`.",
        compared="The logits above (batch statistics, 64 bits), targets with fractions, weight 0.75; the gradient of the loss with respect to every "
        "weight, by the original's network and loss.",
        comparisons=(
            Comparison("losses/values", "cross-entropy, Dice loss, loss; both networks", "of the value", "within", 1e-10,
                       "only the order of additions differs"),
            Comparison("losses/gradients", "gradients of all weights of both networks, 45 million numbers", "of the largest gradient of the tensor",
                       "within", 1e-10, "only the order of additions differs"),
        ),
        tests=("stages/torch/tests/suite/against_pytorch.rs: networks_agree_with_pytorch",),
    ),
    Step(
        id="schedule",
        title="Rounds and learning rates",
        original="A plan lists rounds, each with its rate, factor, weight of the cross-entropy and epochs. Every round has a new Adam and a new StepLR that is "
        "stepped after each batch, so that the rate falls once an epoch.",
        sources=("`train/_core.py`: `run_modelplan`, `build_model`", "`benson2025/training-regimes/plans/`"),
        ours="`schedule` of `unet/train` takes the rounds of a plan file; without it, rounds follow from the first one (rates 1, 2/3, 1/3; weights 1, 1/2, 0).",
        compared="The four plan files of the original, by its `run_modelplan` on a network with one weight: the rate of every epoch. Then the rates that follow "
        "from the first round alone, as the original's grid search makes its plans.",
        comparisons=(
            Comparison("schedule/listed", "rate of each of 120 epochs", "of the rate", "within", 1e-15, "the same products in the same order"),
            Comparison("schedule/by-rule", "rates of the same epochs, following from the first round", "per step", "within", 5e-6,
                       "the plan files have five decimals; the rule does not round"),
        ),
        by_design="`batch_size` of a round takes effect here. In the original a plan's is ignored, and batches have 5 samples; 5 is our default, so the "
        "original's behaviour is to leave it out of `schedule`.",
        tests=("stages/src/unet/training_schedule.rs: three_rounds_are_the_published_plan",),
    ),
    Step(
        id="training",
        title="A training",
        original="Each epoch trains on all samples in random order with the last batch as small as it comes, then validates; a round keeps the weights of the epoch "
        "with the least validation loss, and of all rounds those with the least validation Dice loss.",
        sources=("`train/_core.py`: `run_modelplan`, `build_model`, `train_model`",),
        ours="`unet/train`.",
        compared="`run_modelplan` of the original from weights that the program wrote, 7 samples for training and 3 for validation of 64 x 128 pixels, batches "
        "of 3, three rounds of two epochs at a first rate of 2e-5; samples come in one fixed order on both sides. A higher rate cannot be compared: "
        "at 5e-4 the number of threads alone moves losses by several percent within two epochs.",
        comparisons=(
            Comparison("training/first-epoch", "six losses of the first epoch, 64 bits", "of the loss", "within", 1e-10,
                       "a wrong formula would show here; only the order of additions differs"),
            Comparison("training/second-epoch", "six losses of the second epoch, 64 bits", "of the loss", "within", 1e-6,
                       "each epoch amplifies the last digits about a thousandfold"),
            Comparison("training/all-epochs", "losses of all six epochs, 64 bits", "of the loss", "within", 3e-2,
                       "as above, until units fall on the other side of their ReLUs; a wrong schedule or choice of weights would show here"),
            Comparison("training/choices", "which epochs improved, which round is kept", "choices differ", "equal", 0, "choices"),
            Comparison("training/weights", "the weights that are kept, 64 bits", "of the tensor's mean size", "within", 3e-2, "as for the losses of all epochs"),
            Comparison("training/32-bits", "losses of all six epochs with 32 bits, as pipelines compute", "of the loss", "within", 5e-2,
                       "what `unet/train` states for another machine"),
        ),
        by_design="Orders come from the pipeline's seed here; the original sets none. Validation runs the network once a subject, not once a rater, "
        "which changes no number: running statistics do not depend on the batch.",
        tests=("stages/torch/tests/suite/against_pytorch.rs: a_whole_training_agrees_with_pytorch",
               "stages/torch/tests/suite/against_pytorch.rs: adam_agrees_with_pytorch"),
    ),
    Step(
        id="predictions",
        title="Predictions: from a network to labels on the cortex",
        original="Runs the network, takes sigmoids, cuts out the half of a hemisphere, enlarges it to 512 x 512, takes at each vertex the pixel nearest to it (halves "
        "to even), and gives it the class with the largest probability p if p is more than 1 minus the sum of all.",
        sources=("`image/_data.py`: `ImageCacheDataset.predlabels`, `FlatmapImageCache.inv`, `invlabels`",),
        ours="`unet/predict`.",
        compared="From end to end: each side paints, resizes and predicts by its own code, with one network that the program trained for ten epochs on function and anatomy. Then the way "
        "back alone: targets of 64 x 64 pixels, taken as probabilities, to vertices.",
        comparisons=(
            Comparison("predictions/batch", "label of each vertex of both hemispheres, batch statistics", "labels differ", "equal", 4,
                       "of 10 242 in a hemisphere: classes whose probabilities agree in the last digits of 32 bits may change places"),
            Comparison("predictions/running", "label of each vertex of both hemispheres, running statistics", "labels differ", "equal", 4, "as above"),
            Comparison("predictions/sampled", "labels sampled from targets, area and ring", "labels differ", "equal", 0, LABELS),
        ),
        by_design="The original never leaves training mode when it predicts, so batch normalisation uses the statistics of the one image. `bn: batch` "
        "(the default, because the published scores are made so) does the same; `bn: running` is what a network usually does.",
        tests=("stages/torch/tests/suite/train_and_predict.rs",),
    ),
    Step(
        id="scores",
        title="Scores",
        original="Dice scores of every two methods over the vertices of the map, label by label, and their mean; a pair is skipped if its second method has a "
        "label that the first lacks, while the reverse scores 0 and counts.",
        sources=("`util/_core.py`: `dice_scores`", "`benson2025/analysis/_core.py`: `calc_scores`"),
        ours="`score/dice`.",
        compared="Ten methods (four raters, four models, prior, inferred), two of which lack a label: all rows of the original's table, with tags. "
        "The original's order of rows depends on Python's hash seed, so rows are compared by their keys.",
        comparisons=(
            Comparison("scores/rows", "rows: pair, tag, label, hemisphere, parcellation", "rows only on one side", "equal", 0, "names"),
            Comparison("scores/values", "score of each row", "of a score, 0 to 1", "within", 1e-12, "quotients of counts, written with all digits"),
        ),
        tests=("stages/src/score/dice.rs: a_label_that_the_first_lacks_skips_the_pair",),
    ),
    Step(
        id="statistics",
        title="Statistics",
        original="Mean and standard deviation (population), standard error as the root of the sum of squares over n, widened by Bonferroni's correction for the "
        "number of intervals in a figure; percentiles.",
        sources=("`plot/_core.py`: `summarize_dist`",),
        ours="`score/summary` and the figures.",
        compared="Five lists of 1 to 200 numbers; 1, 22 and 28 intervals (those of the published figures); least, quartiles, median, largest.",
        comparisons=(
            Comparison("statistics/intervals", "ends and middle of each interval", "in the unit of the list, 0 to 1", "within", 1e-12, "only the order of additions differs"),
            Comparison("statistics/percentiles", "least, quartiles, median, largest", "in the unit of the list, 0 to 1", "within", 1e-12, "as above"),
            Comparison("statistics/multiplier", "widening of an interval, for 1 to 1000 intervals", "standard errors", "within", 1e-9,
                       "quantiles of the normal distribution by other formulas"),
        ),
        tests=("stages/src/numeric/statistics.rs",),
    ),
    Step(
        id="split",
        title="The split that keeps relatives together",
        original="Makes pairs of twins and siblings among subjects with retinotopic maps from the restricted table, and takes fixed positions of the "
        "lists of pairs and of the others. Siblings of twins are not linked to them.",
        sources=("`benson2025/hcp/_core.py`: `partition`", "neuropythy 0.13.0, `datasets/hcp.py`: `HCPMetaDataset.retinotopy_sibling_pairs`"),
        ours="`split/twins`.",
        compared="An invented table over the study's 163 subjects: twins of both kinds, siblings, a sibling of twins, a twin without maps, a twin who is excluded for "
        "the labels, a third sibling without maps.",
        comparisons=(Comparison("split/sides", "side of each of the 163 subjects", "subjects on another side", "equal", 0, "sides"),),
        by_design="The original prints the id of the partition, from which the side of every subject follows, in logs and options; here it is withheld, because "
        "the sides say who has a twin.",
        tests=("stages/src/split/twins.rs: relatives_stay_together_and_counts_are_those_of_the_study",),
    ),
    Step(
        id="logs",
        title="Logs of a training",
        original="Prints a table of losses, one line an epoch, starred where the validation loss improved. The notebook's `load_cell` cuts a log at lines that begin with "
        "`Iteration` and takes the tenth word of starred lines, the validation Dice loss.",
        sources=("`train/_core.py`: `log_epoch`, `train_model`", "`benson2025/analysis.ipynb`: `load_cell`"),
        ours="The log of `unet/train` has the same lines.",
        compared="Our log of the training above with what the original prints for the same epochs, the seconds taken out; then the original's `load_cell` reads "
        "the log of the network of the predictions, which has ten epochs.",
        comparisons=(
            Comparison("logs/lines", "lines of six epochs in three rounds, with their headers", "lines differ", "equal", 0, "text"),
            Comparison("logs/reader", "least starred validation Dice loss, as `load_cell` of the original finds it in our log", "of a Dice loss", "within", 5.1e-4,
                       "the log has three decimals"),
        ),
        by_design="The line with the id of the partition says `withheld` (see the split). The original's reader takes another loss where epochs are counted with one "
        "digit, because it counts words; the log is the same there too.",
        tests=("stages/torch/src/training.rs: log_lines_have_the_original_form",),
    ),
    Step(
        id="grid",
        title="The grid search",
        original="Numbers the 1800 cells of the grid by their factors, the first one fastest. The notebook reads three files of each: `load_cell` cuts the log at lines that begin with "
        "`Iteration`, takes the tenth word of starred lines, the least of each iteration, and of those the least, mean, median, deviation and largest. It leaves out the "
        "last line of a log.",
        sources=("`benson2025/hyperparameters/scripts/gen-gridparams.py`", "`benson2025/analysis.ipynb`: `load_cell`, `load_gridsearch`"),
        ours="`grid/read`. Its rule: the least validation Dice loss of any epoch, starred or not, found by its place in the line; the original's rules by name (`compat: [iterations, "
        "last-line, starred, token-9]`).",
        compared="Options and plans of all 1800 cells, written by the original's script, with simulated logs of one to three iterations in four forms: as the study's; broken off; with five epochs a "
        "round, where the tenth word is another loss; and as trainings of 2022 were logged, whose iterations begin with `Training:`. `load_cell` and `grid/read`, by all rules of the original, read "
        "the same files. In the logs of 2022 `load_cell` finds no iteration; for their losses it is given copies in which `Iteration` takes the place of `Training`, and `grid/read` the logs as they "
        "are, without the rule `iterations`. Last, by no rule of the original: the least loss in the log of the training above, with what the original's training returned.",
        comparisons=(
            Comparison("grid/cells", "number and seven factors of each cell", "cells differ", "equal", 0, "names and literals"),
            Comparison("grid/found", "which cells have a loss", "cells differ", "equal", 0, "yes or no"),
            Comparison("grid/losses", "five losses of each of 1350 cells, by the original's rules", "of a Dice loss", "within", 5.1e-7, "the table has six decimals"),
            Comparison("grid/of-2022", "five losses of each of 450 cells with logs of 2022", "of a Dice loss", "within", 5.1e-7, "the table has six decimals"),
            Comparison("grid/least", "least validation Dice loss of a training, by no rule of the original", "of a Dice loss", "within", 5.1e-4,
                       "the log has three decimals"),
        ),
        by_design="By its own rule `grid/read` gives a cell the loss by which the original's trainings choose what they keep. In logs of ten epochs a round the notebook's is that or a larger one: a starred epoch has the least *loss*, not "
        "the least Dice loss. A note of `grid/read` says in how many cells the two differ.",
        tests=("stages/src/grid/run_log.rs: the_rules_of_the_original_give_its_values",
               "stages/src/grid/read_archive.rs: an_archive_of_1800_cells_is_read_and_its_defects_are_noted"),
    ),
)

COMPARISONS = {comparison.name: comparison for step in STEPS for comparison in step.comparisons}
