//! Files of a small study in the forms of the eighth lab of `CogAI_Fall2025`: responses and features in HDF5, a table of images, a
//! pickled dictionary of regions, and a zip archive with a pycortex subject.
//!
//! What they hold is made up. Voxels of the left half of the volume respond mostly to the features of Conv1, those of the right half to
//! those of Conv4. Conv2 and Conv5 are noisy copies of these two, Conv3 is a noisy mean. One image was never shown, and one voxel has no
//! value for one image. `tests/fidelity/encoding/lab_story.py` makes the same numbers and prints what NumPy finds in them.

use std::path::Path;

use fs_err as fs;
use pipe_stages::formats::gifti::{self, Surface};
use pipe_stages::formats::hdf5::Builder;
use pipe_stages::formats::nifti::{self, VolumePlace};
use walkdir::WalkDir;

/// How many images there are.
const IMAGES: usize = 200;
/// The volume, x by y by z.
const SHAPE: [usize; 3] = [8, 5, 2];
/// Features of a layer.
const WIDTH: usize = 3;
/// The image that was never shown.
const NOT_SHOWN: usize = 17;
/// The voxel, counted in the mask, that has no value for an image, and that image.
const INCOMPLETE: [usize; 2] = [5, 3];
/// The subject of pycortex, and its transform.
const SUBJECT: &str = "subj01";
const TRANSFORM: &str = "func1pt8_to_anat0pt8_autoFSbbr";

/// Writes all files below a folder, under the names that they have where the lab keeps them.
pub fn write(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let voxels = voxels();
    let responses: Vec<f32> =
        (0..IMAGES).flat_map(|image| voxels.iter().map(move |voxel| (image, *voxel))).map(response).collect();
    let mut file = Builder::new();
    file.packed_singles("betas", &[IMAGES as u64, voxels.len() as u64], &[50, 25], &with_holes(responses));
    file.write(&folder.join("S1_betas_avg_bigmask.hdf5")).expect("responses");
    for layer in 1..=5 {
        let mut file = Builder::new();
        let values: Vec<f32> = (0..IMAGES * WIDTH).map(|at| stored(layer, at / WIDTH, at % WIDTH)).collect();
        file.packed_singles("features", &[IMAGES as u64, WIDTH as u64], &[IMAGES as u64, 1], &values);
        file.write(&folder.join(format!("NSD_S1_ims224pix_Conv{layer}_ReLU_pca100.hdf5"))).expect("features");
    }
    fs::write(folder.join("S1_image_info.csv"), images()).expect("a table");
    fs::write(folder.join("S1_voxel_roi_info.npy"), dictionary(SHAPE)).expect("regions");
    write_subject(&folder.join("pycortex_subj01.zip"));
}

/// The id of the image that was never shown.
pub fn not_shown() -> String {
    image_id(NOT_SHOWN)
}

/// The id of the voxel that lacks a value.
pub fn incomplete() -> String {
    format!("v{:07}", voxels()[INCOMPLETE[0]])
}

fn image_id(image: usize) -> String {
    (73_000 - 7 * image).to_string()
}

fn hashed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A number about 0 of variance 1, the same for the same three numbers.
fn noise(kind: usize, row: usize, column: usize) -> f64 {
    let number = (kind * 1_000_003 + row) * 1_009 + column;
    ((hashed(number as u64) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5) * 12_f64.sqrt()
}

fn feature(layer: usize, image: usize, column: usize) -> f64 {
    let (first, fourth) = (noise(1, image, column), noise(4, image, column));
    match layer {
        1 => first,
        2 => first + 0.7 * noise(2, image, column),
        3 => 0.5 * first + 0.5 * fourth + noise(3, image, column),
        4 => fourth,
        _ => fourth + 0.7 * noise(5, image, column),
    }
}

/// A feature as it is in the file: not standardised.
fn stored(layer: usize, image: usize, column: usize) -> f32 {
    (3.0 * feature(layer, image, column) + layer as f64) as f32
}

/// The voxels of the mask, counted in C order.
fn voxels() -> Vec<usize> {
    (0..SHAPE.iter().product::<usize>()).filter(|voxel| voxel % 16 != 15).collect()
}

/// Where a voxel is on the first axis.
fn x_of(voxel: usize) -> usize {
    voxel / (SHAPE[1] * SHAPE[2])
}

fn response((image, voxel): (usize, usize)) -> f32 {
    let [of_first, of_fourth] = if x_of(voxel) < 4 { [0.6, 0.2] } else { [0.2, 0.6] };
    let mut sum = 0.0;
    for column in 0..WIDTH {
        sum += of_first * noise(6, voxel, column) * noise(1, image, column);
        sum += of_fourth * noise(7, voxel, column) * noise(4, image, column);
    }
    (sum + 0.5 * noise(8, image, voxel)) as f32
}

/// Takes away what was not measured.
fn with_holes(mut responses: Vec<f32>) -> Vec<f32> {
    let width = responses.len() / IMAGES;
    responses[NOT_SHOWN * width..][..width].fill(f32::NAN);
    let [voxel, image] = INCOMPLETE;
    responses[image * width + voxel] = f32::NAN;
    responses
}

fn images() -> String {
    let row = |image: usize| {
        let repeats = if image == NOT_SHOWN { 0 } else { 1 + image % 3 };
        let shared = if image % 4 == 1 { "True" } else { "False" };
        format!("{image},{},{repeats},{shared}\n", image_id(image))
    };
    format!(",unique_ims,n_reps,shared1000\n{}", (0..IMAGES).map(row).collect::<String>())
}

/// The dictionary of regions as `numpy.save` writes it. The shape that it states is a parameter, so that it can be wrong.
pub fn dictionary(shape: [usize; 3]) -> Vec<u8> {
    let voxels = voxels();
    let all = 0..SHAPE.iter().product::<usize>();
    let labels = |of: &dyn Fn(usize) -> i64| all.clone().map(of).collect::<Vec<i64>>();
    let mut pickle = Pickle::default();
    pickle.raw(b"\x80\x03");
    pickle.begin_array();
    pickle.raw(b")");
    pickle.element_type("O8", "|", 0x3f);
    pickle.raw(b"\x89]}(");
    pickle.text("voxel_mask");
    let flags: Vec<u8> = all.clone().map(|voxel| u8::from(voxels.contains(&voxel))).collect();
    pickle.array("b1", "|", flags.len(), &flags);
    pickle.integers("brain_nii_shape", &shape.map(|length| length as i64));
    pickle.text("noise_ceiling_avgreps");
    let ceilings: Vec<u8> = (0..voxels.len()).flat_map(|at| (30.0 + (at % 50) as f64).to_le_bytes()).collect();
    pickle.array("f8", "<", voxels.len(), &ceilings);
    pickle.names("ret_prf_roi_names", &[("V1v", 1), ("V1d", 2), ("hV4", 7)]);
    pickle.integers("roi_labels_retino", &labels(&|voxel| [1, 1, 2, 0, 0, 0, 0, 0][x_of(voxel)]));
    pickle.names("floc_face_roi_names", &[("FFA-1", 1), ("FFA-2", 2)]);
    pickle.integers("roi_labels_face", &labels(&|voxel| [0, 0, 0, 0, 0, 2, 1, 1][x_of(voxel)]));
    pickle.names("floc_place_roi_names", &[("PPA", 1)]);
    pickle.integers("roi_labels_place", &labels(&|voxel| i64::from(x_of(voxel) == 4)));
    pickle.names("floc_body_roi_names", &[("EBA", 1)]);
    pickle.integers("roi_labels_body", &labels(&|voxel| i64::from(x_of(voxel) == 6)));
    pickle.raw(b"uatb.");
    let mut header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".to_vec();
    header.resize(117, b' ');
    header.push(b'\n');
    [b"\x93NUMPY\x01\x00".as_slice(), &118_u16.to_le_bytes(), &header, &pickle.0].concat()
}

/// A pickle under construction, of protocol 3.
#[derive(Default)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn raw(&mut self, code: &[u8]) {
        self.0.extend(code);
    }

    fn text(&mut self, text: &str) {
        self.raw(b"X");
        self.raw(&(text.len() as u32).to_le_bytes());
        self.raw(text.as_bytes());
    }

    fn integer(&mut self, number: usize) {
        self.raw(b"J");
        self.raw(&(number as i32).to_le_bytes());
    }

    /// An array and the first part of its state, before its shape.
    fn begin_array(&mut self) {
        self.raw(b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01");
    }

    fn element_type(&mut self, name: &str, order: &str, flags: u8) {
        self.raw(b"cnumpy\ndtype\n");
        self.text(name);
        self.raw(b"\x89\x88\x87R(K\x03");
        self.text(order);
        self.raw(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK");
        self.raw(&[flags, b't', b'b']);
    }

    fn array(&mut self, name: &str, order: &str, length: usize, bytes: &[u8]) {
        self.begin_array();
        self.integer(length);
        self.raw(b"\x85");
        self.element_type(name, order, 0);
        self.raw(b"\x89B");
        self.raw(&(bytes.len() as u32).to_le_bytes());
        self.raw(bytes);
        self.raw(b"tb");
    }

    fn integers(&mut self, key: &str, numbers: &[i64]) {
        self.text(key);
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        self.array("i8", "<", numbers.len(), &bytes);
    }

    fn names(&mut self, key: &str, names: &[(&str, usize)]) {
        self.text(key);
        self.raw(b"}(");
        for (name, number) in names {
            self.text(name);
            self.integer(*number);
        }
        self.raw(b"u");
    }
}

/// A pycortex subject whose hemispheres are the two halves of the volume, one millimetre a voxel.
fn write_subject(archive: &Path) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let surfaces = folder.path().join(SUBJECT).join("surfaces");
    let transform = folder.path().join(SUBJECT).join("transforms").join(TRANSFORM);
    for below in [&surfaces, &transform] {
        fs::create_dir_all(below).expect("a folder");
    }
    for (hemisphere, first) in [("lh", 0.0), ("rh", 4.0)] {
        for (name, left, depth) in [("flat", 0.0, 0.0), ("pia", first, 1.0), ("wm", first, 0.0)] {
            let path = surfaces.join(format!("{name}_{hemisphere}.gii"));
            gifti::write_surface(&path, &grid(left, depth)).expect("a surface");
        }
    }
    let unit = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    let matrices = serde_json::json!({ "coord": unit, "magnet": unit }).to_string();
    fs::write(transform.join("matrices.xfm"), matrices).expect("a transform");
    let place = VolumePlace { shape: SHAPE, affine: unit };
    let zeros = vec![0.0; SHAPE.iter().product()];
    nifti::write_volume(&transform.join("reference.nii.gz"), &place, &zeros, "").expect("a volume");
    fs::write(archive, zipped(folder.path())).expect("an archive");
}

/// A sheet of 4 x 5 vertices.
fn grid(left: f32, depth: f32) -> Surface {
    let mut surface = Surface { coordinates: Vec::new(), triangles: Vec::new() };
    for x in 0..4_u8 {
        for y in 0..5_u8 {
            surface.coordinates.push([left + f32::from(x), f32::from(y), depth]);
            if x < 3 && y < 4 {
                let corner = u32::from(x) * 5 + u32::from(y);
                surface.triangles.push([corner, corner + 5, corner + 1]);
                surface.triangles.push([corner + 5, corner + 6, corner + 1]);
            }
        }
    }
    surface
}

/// A zip archive of the files below a folder, not compressed.
fn zipped(folder: &Path) -> Vec<u8> {
    let (mut archive, mut directory): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let mut count = 0_u16;
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.expect("an entry");
        if !entry.file_type().is_file() {
            continue;
        }
        let name = entry.path().strip_prefix(folder).expect("it lies below").to_string_lossy().into_owned();
        let bytes = fs::read(entry.path()).expect("a file");
        let offset = archive.len() as u32;
        // Version 2.0, no flags, stored; midnight, 1 January 1980.
        let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
        for number in [checksum(&bytes), bytes.len() as u32, bytes.len() as u32] {
            common.extend(number.to_le_bytes());
        }
        common.extend((name.len() as u16).to_le_bytes());
        common.extend([0, 0]);
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(&bytes);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
        count += 1;
    }
    let (length, offset) = (directory.len() as u32, archive.len() as u32);
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        archive.extend(count.to_le_bytes());
    }
    archive.extend(length.to_le_bytes());
    archive.extend(offset.to_le_bytes());
    archive.extend([0, 0]);
    archive
}

/// CRC-32, as in zip archives.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}
