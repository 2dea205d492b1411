//! Activations of every layer against torchvision's: the numbers in `tests/fidelity/rsa/activations.json` come from `activations.py` beside
//! it, which makes the weights of the seed itself.

use std::ops::ControlFlow;
use std::path::Path;

use pipe_contract::Failure;
use pipe_stages::net::layer_book::LayerBook;
use pipe_stages::net::network_folder::IMAGENET;
use pipe_stages::net::shipped_architectures::named;
use pipe_stages::net::start::fresh_weights;
use pipe_stages::net::state_dict::parameter_count;
use pipe_torch::network_forward::{ForwardMode, ForwardNetwork};
use pipe_torch::network_run::network_of;
use serde_json::Value;
use tch::{Kind, Tensor};

use crate::support::device;

/// How far apart numbers may be, as a share of a layer's root mean square.
const TOLERANCE: f64 = 1e-4;

fn whole(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("not a whole number: {value}")) as usize
}

/// The images of the goldens, normalised: a byte is (7919 image + 104729 channel + 31 y^2 + 17 x^2 + 13 x y) % 256.
fn images(golden: &Value) -> Tensor {
    let [count, height, width] = ["images", "height", "width"].map(|name| whole(&golden[name]));
    let (mean, std) = IMAGENET;
    let mut numbers = Vec::with_capacity(count * 3 * height * width);
    for image in 0..count {
        for channel in 0..3 {
            for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
                let byte = (7919 * image + 104_729 * channel + 31 * y * y + 17 * x * x + 13 * x * y) % 256;
                numbers.push((byte as f32 / 255.0 - mean[channel] as f32) / std[channel] as f32);
            }
        }
    }
    Tensor::from_slice(&numbers).view([count as i64, 3, height as i64, width as i64]).to_device(device())
}

/// What a layer gave last, and how often it ran.
#[derive(Clone, Default)]
struct LastRun {
    runs: usize,
    shape: Vec<i64>,
    /// Mean, standard deviation, and the numbers a third and two thirds of the way through.
    shown: Vec<f64>,
}

fn last_runs(network: &ForwardNetwork, images: Tensor, layers: usize) -> Vec<LastRun> {
    let mut found = vec![LastRun::default(); layers];
    let mut hook = |place: usize, output: &[Tensor]| -> Result<ControlFlow<()>, Failure> {
        let numbers = output[0].to_kind(Kind::Double).flatten(0, -1);
        let count = numbers.numel() as i64;
        let at = |place: i64| numbers.double_value(&[place]);
        let shown = vec![
            numbers.mean(Kind::Double).double_value(&[]),
            numbers.std(false).double_value(&[]),
            at(count / 3),
            at(2 * count / 3),
        ];
        found[place] = LastRun { runs: found[place].runs + 1, shape: output[0].size()[1..].to_vec(), shown };
        Ok(ControlFlow::Continue(()))
    };
    let _guard = tch::no_grad_guard();
    drop(network.forward(vec![images], &mut ForwardMode::Evaluate, &mut hook).unwrap());
    found
}

#[test]
fn activations_are_those_of_torchvision() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fidelity/rsa/activations.json");
    let golden: Value = serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap();
    let networks = golden["networks"].as_object().unwrap();
    assert_eq!(networks.len(), 6);
    for (name, expected) in networks {
        let architecture = named(name, 1000).unwrap();
        assert_eq!(parameter_count(&architecture), whole(&expected["parameters"]), "{name}");
        let weights = fresh_weights(&architecture, golden["seed"].as_u64().unwrap());
        let network = network_of(&architecture, &weights, device(), false).unwrap();
        drop(weights);
        let book = LayerBook::of(&architecture);
        let rows = expected["layers"].as_array().unwrap();
        assert_eq!(book.layers().len(), rows.len(), "{name}");
        let found = last_runs(&network, images(&golden), rows.len());
        for ((layer, found), row) in book.layers().iter().zip(&found).zip(rows) {
            let what = format!("{name} {}", layer.name);
            assert_eq!(
                (layer.name.as_str(), layer.address.as_str()),
                (row[0].as_str().unwrap(), row[2].as_str().unwrap())
            );
            let shape: Vec<i64> = row[4].as_array().unwrap().iter().map(|axis| whole(axis) as i64).collect();
            assert_eq!((found.runs, &found.shape), (whole(&row[3]), &shape), "{what}");
            let expected: Vec<f64> = (5..9).map(|at| row[at].as_f64().unwrap()).collect();
            let size = expected[0].hypot(expected[1]);
            for (found, expected) in found.shown.iter().zip(&expected) {
                assert!((found - expected).abs() <= TOLERANCE * size, "{what}: {found}, not {expected} (of {size})");
            }
        }
    }
}
