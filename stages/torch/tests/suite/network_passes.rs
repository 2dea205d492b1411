//! What networks compute, and that neither batches nor passes show in it.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use pipe_contract::{Failure, Silent};
use pipe_stages::formats::stimulus_set::StimulusSet;
use pipe_stages::formats::tensors::{TensorValues, Tensors};
use pipe_stages::net::architecture::{Architecture, LayerKind};
use pipe_stages::net::layer_book::LayerBook;
use pipe_stages::net::layer_shapes::layer_calls;
use pipe_stages::net::network_folder::ImagePreparation;
use pipe_stages::net::network_kinds::{ImageCrop, LayerRuns};
use pipe_stages::net::shipped_architectures::named;
use pipe_stages::net::start::fresh_weights;
use pipe_stages::net::state_dict::state_dict;
use pipe_stages::net::used_layers::{PassSettings, UsedLayer, used_layers};
use pipe_torch::activation_passes::{ActivationPasses, ActivationUse};
use pipe_torch::network_forward::{ForwardMode, ForwardNetwork};
use pipe_torch::network_images::NetworkImages;
use pipe_torch::network_run::network_of;
use tch::{Kind, Tensor};

use crate::network_support::{SIDE, Shown, crossed, write_stimuli};
use crate::support::{device, formula};

fn network(name: &str) -> (Architecture, ForwardNetwork) {
    let architecture = named(name, 4).unwrap();
    let network = network_of(&architecture, &fresh_weights(&architecture, 5), device(), false).unwrap();
    (architecture, network)
}

fn images(shown: &[Shown]) -> NetworkImages {
    let folder = tempfile::tempdir().unwrap();
    let set = StimulusSet::open(&write_stimuli(folder.path(), shown)).unwrap();
    NetworkImages::read(&set, &ImagePreparation::imagenet(SIDE), ImageCrop::None).unwrap()
}

/// Keeps what comes: for each layer units by image, and means.
#[derive(Default, PartialEq, Debug)]
struct Everything {
    images: usize,
    layers: Vec<(Vec<Vec<f32>>, Vec<f64>)>,
    finished: usize,
}

impl ActivationUse for Everything {
    fn uses_units(&self) -> bool {
        true
    }

    fn uses_means(&self) -> bool {
        true
    }

    fn units(&mut self, layer: usize, units: Range<usize>, values: &[f32]) -> Result<(), Failure> {
        let kept = &mut self.layers[layer].0;
        kept.resize(self.images, Vec::new());
        for (kept, values) in kept.iter_mut().zip(values.chunks_exact(units.len())) {
            assert_eq!(kept.len(), units.start, "units come in order");
            kept.extend_from_slice(values);
        }
        Ok(())
    }

    fn means(&mut self, layer: usize, values: &[f64]) -> Result<(), Failure> {
        assert!(self.layers[layer].1.is_empty(), "means come once");
        self.layers[layer].1 = values.to_vec();
        Ok(())
    }

    fn finish(&mut self, _: usize) -> Result<(), Failure> {
        self.finished += 1;
        Ok(())
    }
}

/// Everything that a network gives, and in how many passes.
fn everything(
    name: &str,
    images: &NetworkImages,
    calls: LayerRuns,
    settings: PassSettings,
) -> (Vec<UsedLayer>, Everything, usize) {
    let (architecture, network) = network(name);
    everything_of((&architecture, &network), images, calls, settings)
}

/// As [`everything`], of a network that is there.
fn everything_of(
    (architecture, network): (&Architecture, &ForwardNetwork),
    images: &NetworkImages,
    calls: LayerRuns,
    settings: PassSettings,
) -> (Vec<UsedLayer>, Everything, usize) {
    let layers = used_layers(architecture, images.size(), &[], calls).unwrap();
    let mut all = Everything { images: images.len(), ..Everything::default() };
    all.layers.resize(layers.len(), (Vec::new(), Vec::new()));
    let passes = ActivationPasses::new((architecture, network), images, &layers, settings, (true, true), device());
    let passes = passes.unwrap();
    passes.run(&mut all, &Silent).unwrap();
    assert_eq!(all.finished, layers.len());
    let count = passes.passes();
    (layers, all, count)
}

const ROOMY: PassSettings = PassSettings { batch: 4, limit: 1 << 34, alias_in_place: false };

fn place(layers: &[UsedLayer], name: &str) -> usize {
    layers.iter().position(|layer| layer.name == name).unwrap_or_else(|| panic!("no {name}"))
}

/// A tensor of stored weights.
fn floats(weights: &Tensors, name: &str) -> Tensor {
    let (shape, numbers) = weights.floats(name).unwrap();
    let shape: Vec<i64> = shape.iter().map(|axis| *axis as i64).collect();
    Tensor::from_slice(numbers).view(shape.as_slice()).to_device(device())
}

/// Fresh weights, but for normalisations, which all differ from each other.
fn uneven_weights(architecture: &Architecture) -> Tensors {
    let mut weights = fresh_weights(architecture, 5);
    for (name, tensor) in weights.tensors.iter_mut().filter(|(name, _)| name.contains("norm")) {
        if let TensorValues::F32(numbers) = &mut tensor.values {
            let middle = if name.ends_with("weight") || name.ends_with("running_var") { 1.0 } else { 0.0 };
            let noise = formula(name, numbers.len());
            numbers.iter_mut().zip(noise).for_each(|(number, noise)| *number = (middle + 0.4 * noise) as f32);
        }
    }
    weights
}

/// The second area: a shortcut with a stride in the first pass alone, where only the 3 x 3 convolution has one too; the same convolutions
/// in both passes, with normalisations of each pass's own; the second pass's shortcut is what the first one gave.
#[test]
fn an_area_of_cornet_s_is_its_operations() {
    let images = images(&crossed()[..2]);
    let architecture = named("cornet_s", 4).unwrap();
    let weights = uneven_weights(&architecture);
    let network = network_of(&architecture, &weights, device(), false).unwrap();
    let book = LayerBook::of(&architecture);
    let (layers, copied, _) = everything_of((&architecture, &network), &images, LayerRuns::All, ROOMY);
    let at = |address: &str, call: usize| {
        let rank = book.find(address).unwrap().rank;
        layers.iter().position(|layer| (layer.rank, layer.call) == (rank, call)).unwrap()
    };
    let of = |address: &str, call: usize| {
        let layer = &layers[at(address, call)];
        let shape: Vec<i64> = [images.len()].iter().chain(&layer.shape).map(|axis| *axis as i64).collect();
        Tensor::from_slice(&copied.layers[at(address, call)].0.concat()).view(shape.as_slice()).to_device(device())
    };
    let convolved = |x: &Tensor, name: &str, stride: i64, padding: i64| {
        let weight = floats(&weights, &format!("V2.{name}.weight"));
        x.conv2d(&weight, None::<&Tensor>, [stride; 2], [padding; 2], [1, 1], 1)
    };
    let normalised = |x: &Tensor, name: &str| {
        let part = |part: &str| floats(&weights, &format!("V2.{name}.{part}")).view([1, -1, 1, 1]);
        (x - part("running_mean")) / (part("running_var") + 1e-5).sqrt() * part("weight") + part("bias")
    };
    let pass = |x: &Tensor, number: usize, stride: i64| {
        let x = normalised(&convolved(x, "conv1", 1, 0), &format!("norm1_{number}")).relu();
        let x = normalised(&convolved(&x, "conv2", stride, 1), &format!("norm2_{number}")).relu();
        normalised(&convolved(&x, "conv3", 1, 0), &format!("norm3_{number}"))
    };
    let input = convolved(&of("V1.output", 1), "conv_input", 1, 0);
    let shortcut = normalised(&convolved(&input, "skip", 2, 0), "norm_skip");
    let first = (pass(&input, 0, 2) + shortcut).relu();
    let second = (pass(&first, 1, 1) + &first).relu();
    for (call, expected) in [(1, &first), (2, &second)] {
        let found = of("V2.output", call);
        assert_eq!(found.size(), expected.size());
        let off = (found - expected).abs().max().double_value(&[]);
        assert!(off < 1e-4 * expected.abs().max().double_value(&[]), "pass {call}: {off}");
    }
    // What a pass's last normalisation gave receives the sum and its rectification.
    let aliased = PassSettings { alias_in_place: true, ..ROOMY };
    let (_, shared, _) = everything_of((&architecture, &network), &images, LayerRuns::All, aliased);
    for (number, call) in [(0, 1), (1, 2)] {
        let norm = at(&format!("V2.norm3_{number}"), 1);
        let rectified = at("V2.nonlin3", call);
        assert_eq!(shared.layers[norm].0, copied.layers[rectified].0);
        assert!(copied.layers[norm].0 != copied.layers[rectified].0);
    }
}

/// What a normalisation of GoogLeNet gave is rectified in place behind it, by no layer of its own.
#[test]
fn aliases_of_googlenet_are_rectified() {
    let images = images(&crossed()[..2]);
    let (layers, copied, _) = everything("googlenet", &images, LayerRuns::Last, ROOMY);
    let aliased = PassSettings { alias_in_place: true, ..ROOMY };
    let (_, shared, _) = everything("googlenet", &images, LayerRuns::Last, aliased);
    let book = LayerBook::of(&named("googlenet", 4).unwrap());
    for address in ["conv1.bn", "inception3a.branch2.1.bn", "inception5b.branch1.bn"] {
        let place = place(&layers, &book.find(address).unwrap().name);
        let of = |all: &Everything| all.layers[place].0.concat();
        assert!(of(&copied).iter().any(|value| *value < 0.0), "{address}");
        let rectified: Vec<f32> = of(&copied).iter().map(|value| value.max(0.0)).collect();
        assert_eq!(of(&shared), rectified, "{address}");
    }
}

#[test]
fn the_small_network_is_its_operations() {
    let shown = crossed();
    let images = images(&shown);
    let weights = fresh_weights(&named("small", 4).unwrap(), 5);
    let get = |name: &str| floats(&weights, name);
    let convolved = |x: &Tensor, name: &str, stride: i64, padding: i64| {
        let (weight, bias) = (get(&format!("{name}.weight")), get(&format!("{name}.bias")));
        x.conv2d(&weight, Some(&bias), [stride; 2], [padding; 2], [1, 1], 1).relu()
    };
    let pooled = |x: &Tensor| x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
    let x = images.batch(0..images.len(), device()).unwrap();
    let x = pooled(&convolved(&x, "features.0", 2, 2));
    let x = pooled(&convolved(&x, "features.3", 1, 1));
    let x = pooled(&convolved(&x, "features.6", 1, 1));
    let x = x.adaptive_avg_pool2d([4, 4]).flatten(1, -1);
    let x = x.linear(&get("classifier.0.weight"), Some(&get("classifier.0.bias"))).relu();
    let expected = x.linear(&get("classifier.2.weight"), Some(&get("classifier.2.bias")));
    let (layers, all, _) = everything("small", &images, LayerRuns::Last, ROOMY);
    let fc = &all.layers[place(&layers, "fc2")].0;
    let found = Tensor::from_slice(&fc.concat()).view([images.len() as i64, 4]).to_device(device());
    assert!((found - &expected).abs().max().double_value(&[]) < 1e-5 * expected.abs().max().double_value(&[]));
}

/// Every network runs on an image, and its layers give the shapes that are known without it.
#[test]
fn outputs_have_the_shapes_of_the_layer_book() {
    let image = Tensor::zeros([1, 3, 64, 64], (Kind::Float, device()));
    for name in ["alexnet", "vgg19", "googlenet", "resnet18", "resnet34", "resnet50", "cornet_s", "small"] {
        let architecture = named(name, 4).unwrap();
        let shapes: BTreeMap<String, Vec<i64>> = state_dict(&architecture)
            .into_iter()
            .map(|entry| (entry.name, entry.shape.iter().map(|axis| *axis as i64).collect()))
            .collect();
        let zeros = |name: &str, _: bool| Ok(Tensor::zeros(shapes[name].as_slice(), (Kind::Float, device())));
        let network = ForwardNetwork::new(&architecture, zeros).unwrap();
        let mut seen = Vec::new();
        let mut hook = |place: usize, output: &[Tensor]| -> Result<ControlFlow<()>, Failure> {
            let shape: Vec<usize> = output[0].size().iter().skip(1).map(|axis| *axis as usize).collect();
            seen.push((place + 1, shape));
            Ok(ControlFlow::Continue(()))
        };
        let answers = network.forward(vec![image.shallow_clone()], &mut ForwardMode::Evaluate, &mut hook).unwrap();
        assert_eq!(answers.unwrap()[0].size(), [1, 4], "{name}");
        let calls = layer_calls(&architecture, 64, 64).unwrap();
        let expected: Vec<(usize, Vec<usize>)> = calls.into_iter().map(|call| (call.rank, call.shape)).collect();
        assert_eq!(seen, expected, "{name}");
    }
}

#[test]
fn batches_are_as_single_images() {
    let images = images(&crossed());
    for name in ["small", "resnet18"] {
        let (layers, one, _) = everything(name, &images, LayerRuns::Last, PassSettings { batch: 1, ..ROOMY });
        let (_, all, _) = everything(name, &images, LayerRuns::Last, PassSettings { batch: 6, ..ROOMY });
        for ((layer, one), all) in layers.iter().zip(&one.layers).zip(&all.layers) {
            let largest = one.0.concat().iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let off = one.0.concat().iter().zip(all.0.concat()).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(off <= 1e-5 * largest, "{name} {}: {off} of {largest}", layer.name);
        }
    }
}

/// The limits are bytes: of the largest layer, 16 x 32 x 32 numbers, three copies exist at once, 786,432 bytes of a batch of 4 and
/// 1,179,648 of all 6 images; a number of all images takes 24.
#[test]
fn passes_change_no_number() {
    let images = images(&crossed());
    let (layers, expected, passes) = everything("small", &images, LayerRuns::Last, ROOMY);
    assert_eq!(passes, 1);
    for (limit, fewest) in [(2_000_000, 1), (1_100_000, 2), (786_432 + 24 * 1300, 20)] {
        let (_, found, passes) = everything("small", &images, LayerRuns::Last, PassSettings { limit, ..ROOMY });
        assert!(passes >= fewest, "{limit}: {passes}");
        assert_eq!(found, expected, "{limit}");
    }
    for (layer, (units, means)) in layers.iter().zip(&expected.layers) {
        let of_feature = layer.units_of_feature();
        for (image, units) in units.iter().enumerate() {
            for (feature, units) in units.chunks_exact(of_feature).enumerate() {
                let mean = units.iter().map(|unit| f64::from(*unit)).sum::<f64>() / of_feature as f64;
                let found = means[image * layer.features() + feature];
                assert!((found - mean).abs() < 1e-9 + 1e-9 * mean.abs(), "{}: {found} {mean}", layer.name);
            }
        }
    }
    let (architecture, network) = network("small");
    let settings = PassSettings { limit: 700_000, ..ROOMY };
    let failure = ActivationPasses::new((&architecture, &network), &images, &layers, settings, (true, true), device());
    assert!(failure.unwrap_err().message.contains("`memory` allows 0 MB"));
}

/// In the published analysis whatever feeds a rectification is recorded rectified, and what feeds a residual sum as the block's output.
#[test]
fn aliases_have_what_later_layers_wrote() {
    let images = images(&crossed());
    let aliased = PassSettings { alias_in_place: true, ..ROOMY };
    let (layers, copied, _) = everything("small", &images, LayerRuns::Last, ROOMY);
    let (_, shared, _) = everything("small", &images, LayerRuns::Last, aliased);
    let of = |all: &Everything, layers: &[UsedLayer], name: &str| all.layers[place(layers, name)].0.concat();
    for number in 1..=3 {
        let (conv, relu) = (format!("conv{number}"), format!("relu{number}"));
        assert!(of(&copied, &layers, &conv) != of(&copied, &layers, &relu));
        assert_eq!(of(&shared, &layers, &conv), of(&copied, &layers, &relu), "{conv}");
    }
    assert_eq!(of(&shared, &layers, "fc2"), of(&copied, &layers, "fc2"), "nothing follows the last layer");
    assert_eq!(of(&shared, &layers, "original_rgb"), of(&copied, &layers, "original_rgb"));
    let (layers, copied, _) = everything("resnet18", &images, LayerRuns::Last, ROOMY);
    let (_, shared, _) = everything("resnet18", &images, LayerRuns::Last, aliased);
    // The first block: its second normalisation receives the sum and its rectification, the last call of the block's `relu2`.
    assert_eq!(of(&shared, &layers, "batchnorm3"), of(&copied, &layers, "relu2"));
    assert!(of(&copied, &layers, "batchnorm3") != of(&copied, &layers, "relu2"));
}

#[test]
fn calls_of_one_layer_are_numbered() {
    let images = images(&crossed()[..2]);
    let (layers, all, _) = everything("resnet18", &images, LayerRuns::All, ROOMY);
    let (last_layers, last, _) = everything("resnet18", &images, LayerRuns::Last, ROOMY);
    let calls: Vec<usize> = layers.iter().filter(|layer| layer.name == "relu2").map(|layer| layer.call).collect();
    assert_eq!(calls, [1, 2]);
    let first = place(&layers, "relu2");
    assert_eq!((layers[first].label(true), layers[first].label(false)), ("relu2@1".to_owned(), "relu2".to_owned()));
    assert!(all.layers[first] != all.layers[first + 1]);
    assert_eq!(all.layers[first + 1], last.layers[place(&last_layers, "relu2")]);
    assert_eq!(last_layers.len(), 1 + LayerBook::of(&named("resnet18", 4).unwrap()).layers().len());
    assert_eq!(layers.len(), last_layers.len() + 8, "eight blocks rectify twice");
}

#[test]
fn calibrated_normalisations_give_mean_0_and_variance_1() {
    let images = images(&crossed());
    let (architecture, network) = network("resnet18");
    let book = LayerBook::of(&architecture);
    // Two batches, of 4 and 2 images.
    let batches = || vec![images.batch(0..4, device()).unwrap(), images.batch(4..6, device()).unwrap()];
    let mut nothing = |_: usize, _: &[Tensor]| -> Result<ControlFlow<()>, Failure> { Ok(ControlFlow::Continue(())) };
    let _guard = tch::no_grad_guard();
    drop(network.forward(batches(), &mut ForwardMode::Calibrate, &mut nothing).unwrap());
    let mut normalised = 0;
    let mut hook = |place: usize, output: &[Tensor]| -> Result<ControlFlow<()>, Failure> {
        if matches!(book.layers()[place].kind, LayerKind::BatchNorm { .. }) {
            normalised += 1;
            let x = Tensor::cat(output, 0).to_kind(Kind::Double).permute([1, 0, 2, 3]).flatten(1, -1);
            let mean = x.mean_dim([1_i64].as_slice(), false, None).abs().max().double_value(&[]);
            let variance = x.var_dim([1_i64].as_slice(), false, false);
            let (least, most) = (variance.min().double_value(&[]), variance.max().double_value(&[]));
            // Variances of few, small numbers are lowered by what is added to them, 1e-5.
            assert!(mean < 1e-4 && least > 0.9 && most < 1.0 + 1e-3, "{place}: {mean} {least} {most}");
        }
        Ok(ControlFlow::Continue(()))
    };
    drop(network.forward(batches(), &mut ForwardMode::Evaluate, &mut hook).unwrap());
    assert_eq!(normalised, 20);
}

#[test]
fn equal_files_are_one_image_and_sizes_must_be_equal() {
    let mut shown = crossed();
    shown.push(shown[1].clone());
    let images = images(&shown);
    assert_eq!((images.len(), images.of_stimuli()), (6, &[0, 1, 2, 3, 4, 5, 1][..]));
    let folder = tempfile::tempdir().unwrap();
    let mut wide = crossed();
    wide[3].2.width = SIDE * 2;
    wide[3].2.height = SIDE / 2;
    let set = StimulusSet::open(&write_stimuli(folder.path(), &wide)).unwrap();
    let read = |crop| NetworkImages::read(&set, &ImagePreparation::imagenet(SIDE), crop);
    let failure = read(ImageCrop::None).unwrap_err();
    assert!(failure.message.contains("`s3` has 64 x 256 pixels") && failure.hint.unwrap().contains("crop"));
    assert_eq!(read(ImageCrop::Centre).unwrap().size(), (SIDE, SIDE));
    let trained = ImagePreparation { centre_crop: true, ..ImagePreparation::imagenet(SIDE) };
    assert_eq!(NetworkImages::read(&set, &trained, ImageCrop::Own).unwrap().size(), (SIDE, SIDE));
    assert!(read(ImageCrop::Own).is_err() && NetworkImages::read(&set, &trained, ImageCrop::None).is_err());
}
