//! Declarations of the kinds that need libtorch; `pipe-torch` runs them.

use pipe_contract::{Kind, Repro, Runs, Type, Value};

use super::channels::{INPUTS, OUTPUTS};

/// The encoders.
pub const BASE_MODELS: &[&str] = &["resnet18", "resnet34"];

/// Every kind that the worker runs.
pub fn in_worker() -> Vec<Kind> {
    vec![train(), predict()]
}

/// `unet/train`.
pub fn train() -> Kind {
    let mut kind =
        Kind::new("unet/train", 1, "trains one U-Net on flatmap images, from random weights that depend on its seed")
            .gather("images", &["images"], "images of every subject, 14 channels, one cell per subject (axis `sid`)")
            .gather("targets", &["targets"], "label images, one cell per subject and rater (axes `sid` and `rater`)")
            .input("split", &["split"], "subjects for training (`trn`) and for choosing the weights (`val`)")
            .folder(
                "model",
                "model",
                "weights (safetensors, the original's names), options, plan and the course of the training",
            )
            .required("inputs", Type::Choice(INPUTS), "the input channels")
            .required(
                "outputs",
                Type::Choice(OUTPUTS),
                "what it predicts: visual areas V1-V3 or five rings of eccentricity",
            )
            .param("epochs", Type::Int(1, 100_000), Value::Int(10), "epochs in each round")
            .param("learning_rate", Type::Float(0.0, 10.0), Value::Float(0.00375), "learning rate of the first epoch")
            .param(
                "gamma",
                Type::Float(0.0, 1.0),
                Value::Float(0.9),
                "factor on the learning rate after each epoch of a round",
            )
            .param(
                "bce_weight",
                Type::Float(0.0, 1.0),
                Value::Float(0.75),
                "share of cross-entropy in the first round's loss",
            )
            .param(
                "batch_size",
                Type::Int(1, 100_000),
                Value::Int(5),
                "samples in a batch; 5 is what the published code used, not what its plan files have",
            )
            .param("rounds", Type::Int(1, 1_000), Value::Int(3), "rounds, each from the best weights of the one before")
            .param("base_model", Type::Choice(BASE_MODELS), Value::Text("resnet18".into()), "the encoder");
    kind = on_device(kind);
    kind.runs = Runs::ProcessFresh;
    kind.random = true;
    kind.checkpoint = true;
    // Two instruction sets round differently and training amplifies it: several percent of a loss within two epochs.
    kind.repro = Repro::Within(0.05);
    kind
}

/// `unet/predict`.
pub fn predict() -> Kind {
    let mut kind = Kind::new("unet/predict", 1, "predicts labels on a subject's cortex with a trained U-Net")
        .input("model", &["model"], "the network")
        .input("images", &["images"], "the subject's images, as many pixels high as those of the training; their metadata give the radius of the map")
        .input("subject", &["subject"], "the subject's surfaces, for the place of each vertex in the image")
        .folder("labels", "labels", "`{lh,rh}.{area,ring}.mgz`, one label a native vertex, 0 outside the map")
        .param(
            "bn",
            Type::Choice(&["batch", "running"]),
            Value::Text("batch".into()),
            "what batch normalisation uses: this image's own statistics, as the published scores do, or the running ones",
        );
    kind = on_device(kind);
    kind.runs = Runs::ProcessReusable;
    // In labels: a vertex whose probabilities tie to the last digits may get another one.
    kind.repro = Repro::Within(0.01);
    kind
}

fn on_device(kind: Kind) -> Kind {
    kind.param(
        "threads",
        Type::Int(1, 1_024),
        Value::Int(1),
        "threads inside operations on the processor; their number changes the last digits, so it is part of the key",
    )
    .param(
        "device",
        Type::Choice(&["any", "cpu", "cuda"]),
        Value::Text("any".into()),
        "`cpu` or `cuda` pin the device; `any` takes what the stage's resources grant",
    )
}
