//! What a pickle of `torch.save` describes: storages, tensors as parts of them, and calls that are not run.
//!
//! Decides which calls make something here (ordered dictionaries, sizes, parameters, tensors in three forms); what any other call would
//! have made is kept as its name alone, and is an error where weights are expected, not where something else of a checkpoint is. Nothing
//! is run. Independent of the files that pickles and numbers are in.

use std::collections::BTreeMap;
use std::sync::Arc;

use half::{bf16, f16};

use super::number_bytes::fixed;
use super::pickle::{Item, Object, Problem};
use super::tensors::TensorValues;

/// Greatest number of axes; PyTorch has the same bound.
const MOST_AXES: usize = 64;

/// Every storage that data refer to, by its key.
pub(super) fn collect_storages<'a>(item: &'a Item<PickledPart>, storages: &mut BTreeMap<&'a str, &'a PickledStorage>) {
    match item {
        Item::Object(PickledPart::Storage(storage) | PickledPart::Tensor(PickledTensor { storage, .. })) => {
            storages.insert(&storage.key, storage);
        }
        Item::Object(PickledPart::Refused(refused)) => {
            storages.extend(refused.storages.iter().map(|storage| (storage.key.as_str(), storage)));
        }
        Item::Tuple(items) | Item::List(items) => items.iter().for_each(|item| collect_storages(item, storages)),
        Item::Dict(pairs) => pairs.iter().for_each(|(key, value)| {
            collect_storages(key, storages);
            collect_storages(value, storages);
        }),
        _ => {}
    }
}

/// What the pickle describes beside plain data.
#[derive(Clone, Debug)]
pub(super) enum PickledPart {
    Storage(PickledStorage),
    Tensor(PickledTensor),
    /// An object of a class of tensors that has no numbers yet.
    Unset(PickledElement),
    /// What a call would have made that is not run.
    Refused(Arc<RefusedCall>),
}

/// A call that is not run.
#[derive(Clone, Debug)]
pub(super) struct RefusedCall {
    /// The class or function.
    name: String,
    /// Storages in its arguments: the form before PyTorch 1.6 has the lengths of storages nowhere else.
    storages: Vec<PickledStorage>,
}

impl RefusedCall {
    fn add(&mut self, items: &[Item<PickledPart>]) {
        let mut found = BTreeMap::new();
        items.iter().for_each(|item| collect_storages(item, &mut found));
        self.storages.extend(found.into_values().cloned());
    }

    fn problem(&self) -> Problem {
        format!("the file calls `{}`, which is not run: weights do not need it in this form", self.name)
    }
}

impl Object for PickledPart {
    /// `("storage", class, key, device, count)`: where the numbers of tensors are.
    fn persistent(id: Item<Self>) -> Result<Self, Problem> {
        let Item::Tuple(parts) = id else { return Err("a storage in `data.pkl` is not a tuple".into()) };
        if let [Item::Text(word), Item::Global(class), ..] = parts.as_slice()
            && &**word == "module"
        {
            return Err(format!("the file holds the code of `{class}`, which is not read, expected weights alone"));
        }
        let [Item::Text(word), Item::Global(class), Item::Text(key), Item::Text(_), Item::Int(count), rest @ ..] =
            parts.as_slice()
        else {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        };
        let kind =
            PickledElement::of_storage(class).ok_or_else(|| format!("numbers of the type `{class}` are not read"))?;
        // Before PyTorch 1.6 a storage could be a part of another; none is written so today.
        let is_whole = matches!(rest, [] | [Item::None]);
        if &**word != "storage" || key.contains('/') || !is_whole {
            return Err("a storage in `data.pkl` has another form than PyTorch's".into());
        }
        let bytes = u64::try_from(*count).ok().and_then(|count| count.checked_mul(kind.size() as u64));
        let bytes = bytes.ok_or_else(|| format!("a storage in `data.pkl` has {count} numbers"))?;
        Ok(PickledPart::Storage(PickledStorage { kind, key: key.to_string(), bytes }))
    }

    fn call(name: &str, arguments: &[Item<Self>]) -> Result<Item<Self>, Problem> {
        Ok(match (name, arguments) {
            ("collections.OrderedDict" | "collections.Counter", []) | ("collections.defaultdict", [_]) => {
                Item::Dict(Vec::new())
            }
            ("collections.OrderedDict", [Item::List(pairs)]) => Item::Dict(listed_pairs(pairs)?),
            ("collections.Counter", [Item::Dict(pairs)]) => Item::Dict(pairs.clone()),
            ("torch.Size", [Item::Tuple(sizes)]) => Item::Tuple(sizes.clone()),
            (
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor",
                [
                    Item::Object(PickledPart::Storage(storage)),
                    Item::Int(offset),
                    Item::Tuple(shape),
                    Item::Tuple(strides),
                    ..,
                ],
            ) => Item::Object(PickledPart::Tensor(PickledTensor::of(storage, *offset, shape, strides)?)),
            ("torch._utils._rebuild_parameter", [Item::Object(PickledPart::Tensor(tensor)), ..]) => {
                Item::Object(PickledPart::Tensor(tensor.clone()))
            }
            _ => Item::Object(match PickledElement::of_tensor(name).filter(|_| arguments.is_empty()) {
                Some(element) => PickledPart::Unset(element),
                None => {
                    let mut refused = RefusedCall { name: name.to_owned(), storages: Vec::new() };
                    refused.add(arguments);
                    PickledPart::Refused(Arc::new(refused))
                }
            }),
        })
    }

    /// The state of a tensor as PyTorch 0.1 wrote it is (storage, offset, shape, strides); that of what is not run is not read.
    fn build(&mut self, state: Item<Self>) -> Result<(), Problem> {
        match self {
            PickledPart::Unset(element) => {
                let Item::Tuple(parts) = &state else { return Err(wrong_state(&state)) };
                let [
                    Item::Object(PickledPart::Storage(storage)),
                    Item::Int(offset),
                    Item::Tuple(shape),
                    Item::Tuple(strides),
                ] = parts.as_slice()
                else {
                    return Err(wrong_state(&state));
                };
                if storage.kind != *element {
                    return Err("a tensor has a storage of another type of numbers".into());
                }
                *self = PickledPart::Tensor(PickledTensor::of(storage, *offset, shape, strides)?);
            }
            PickledPart::Refused(refused) => Arc::make_mut(refused).add(&[state]),
            PickledPart::Storage(_) | PickledPart::Tensor(_) => {}
        }
        Ok(())
    }

    fn extend(&mut self, items: Vec<Item<Self>>) -> Result<(), Problem> {
        match self {
            PickledPart::Refused(refused) => Arc::make_mut(refused).add(&items),
            _ => return Err("the pickle adds items to a tensor".into()),
        }
        Ok(())
    }
}

fn wrong_state(state: &Item<PickledPart>) -> Problem {
    let found = match state {
        Item::Tuple(parts) => format!("a tuple of {}", parts.len()),
        _ => "something that is not a tuple".to_owned(),
    };
    format!("the state of a tensor is {found}, expected its storage, offset, shape and strides")
}

/// Numbers of one type, in an entry of the archive or a part of the file.
#[derive(Clone, Debug)]
pub(super) struct PickledStorage {
    pub kind: PickledElement,
    pub key: String,
    pub bytes: u64,
}

/// A part of a storage.
#[derive(Clone, Debug)]
pub(super) struct PickledTensor {
    pub storage: PickledStorage,
    offset: usize,
    pub shape: Vec<usize>,
    strides: Vec<usize>,
}

/// A type of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PickledElement {
    Half,
    BFloat16,
    Float,
    Double,
    Int,
    Long,
    /// Bytes of one that weights do not have; a checkpoint may, such as the state of a generator.
    Other(usize),
}

impl PickledElement {
    /// The type of a class of storages.
    fn of_storage(class: &str) -> Option<Self> {
        Self::of(class.strip_prefix("torch.")?.strip_suffix("Storage")?)
    }

    /// The type of a class of tensors, as PyTorch 0.1 had it.
    fn of_tensor(class: &str) -> Option<Self> {
        Self::of(class.strip_prefix("torch.")?.strip_suffix("Tensor")?)
    }

    fn of(word: &str) -> Option<Self> {
        Some(match word.strip_prefix("cuda.").unwrap_or(word) {
            "Half" => PickledElement::Half,
            "BFloat16" => PickledElement::BFloat16,
            "Float" => PickledElement::Float,
            "Double" => PickledElement::Double,
            "Int" => PickledElement::Int,
            "Long" => PickledElement::Long,
            "Byte" | "Char" | "Bool" => PickledElement::Other(1),
            "Short" => PickledElement::Other(2),
            "ComplexFloat" => PickledElement::Other(8),
            "ComplexDouble" => PickledElement::Other(16),
            _ => return None,
        })
    }

    pub fn size(self) -> usize {
        match self {
            PickledElement::Half | PickledElement::BFloat16 => 2,
            PickledElement::Float | PickledElement::Int => 4,
            PickledElement::Double | PickledElement::Long => 8,
            PickledElement::Other(bytes) => bytes,
        }
    }
}

/// A key and its value.
type PickledPair = (Item<PickledPart>, Item<PickledPart>);

/// The pairs of an ordered dictionary as Python 2 writes it.
fn listed_pairs(pairs: &[Item<PickledPart>]) -> Result<Vec<PickledPair>, Problem> {
    let pair = |pair: &Item<PickledPart>| match pair {
        Item::Tuple(two) | Item::List(two) if two.len() == 2 => Ok((two[0].clone(), two[1].clone())),
        _ => Err("an ordered dictionary is made of something else than pairs".to_owned()),
    };
    pairs.iter().map(pair).collect()
}

/// The key of a checkpoint under which its weights are.
const STATE_DICT: &str = "state_dict";

/// The named tensors of a state dict, or of the one in a checkpoint.
pub(super) fn weights(item: Item<PickledPart>) -> Result<Vec<(String, PickledTensor)>, Problem> {
    let Item::Dict(mut pairs) = item else { return Err(no_dictionary(&item)) };
    let is_weights =
        |(key, _): &(Item<PickledPart>, Item<PickledPart>)| matches!(key, Item::Text(name) if &**name == STATE_DICT);
    if let Some(at) = pairs.iter().position(is_weights) {
        return state_dict(pairs.swap_remove(at).1);
    }
    let refused = pairs.iter().find_map(|(_, value)| match value {
        Item::Object(PickledPart::Refused(refused)) => Some(refused.problem()),
        _ => None,
    });
    state_dict(Item::Dict(pairs)).map_err(|problem| match refused {
        Some(refused) => refused,
        None => format!("{problem}, and there is no `{STATE_DICT}` as in a checkpoint"),
    })
}

/// The named tensors of a state dict.
pub(super) fn state_dict(item: Item<PickledPart>) -> Result<Vec<(String, PickledTensor)>, Problem> {
    let Item::Dict(pairs) = item else { return Err(no_dictionary(&item)) };
    let named = pairs.into_iter().map(|(key, value)| match (key, value) {
        (Item::Text(name), Item::Object(PickledPart::Tensor(tensor))) => match tensor.storage.kind {
            PickledElement::Other(_) => Err(format!("`{name}` has numbers of a type that weights do not have")),
            _ => Ok((name.to_string(), tensor)),
        },
        (Item::Text(name), Item::Object(PickledPart::Refused(refused))) => {
            Err(format!("`{name}` in the dictionary is not a tensor: {}", refused.problem()))
        }
        (Item::Text(name), Item::Object(PickledPart::Unset(_))) => Err(format!("the tensor `{name}` has no numbers")),
        (Item::Text(name), _) => Err(format!("`{name}` in the dictionary is not a tensor")),
        _ => Err("a key of the dictionary is not text".into()),
    });
    named.collect()
}

fn no_dictionary(item: &Item<PickledPart>) -> Problem {
    match item {
        Item::Object(PickledPart::Refused(refused)) => refused.problem(),
        _ => "the file holds no dictionary of tensors".into(),
    }
}

impl PickledTensor {
    /// A part of a storage: numbers from `offset` on, with sizes and strides of each axis.
    fn of(
        storage: &PickledStorage,
        offset: i64,
        shape: &[Item<PickledPart>],
        strides: &[Item<PickledPart>],
    ) -> Result<Self, Problem> {
        if shape.len() != strides.len() || shape.len() > MOST_AXES {
            return Err(format!("a tensor has {} sizes and {} strides", shape.len(), strides.len()));
        }
        Ok(Self {
            storage: storage.clone(),
            offset: usize::try_from(offset)
                .map_err(|_| format!("a tensor begins at number {offset} of its storage"))?,
            shape: shape.iter().map(size).collect::<Result<_, _>>()?,
            strides: strides.iter().map(size).collect::<Result<_, _>>()?,
        })
    }

    /// How many numbers; none if there are more than can be counted.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |all, axis| all.checked_mul(*axis))
    }

    /// The elements in order of the last axis first, out of the bytes of the storage.
    pub fn gather(&self, bytes: &[u8]) -> Result<TensorValues, Problem> {
        let size = self.storage.kind.size();
        let count = self.count().ok_or("impossible shape")?;
        let reach = self.shape.iter().zip(&self.strides).try_fold(self.offset, |reach, (axis, stride)| {
            axis.saturating_sub(1).checked_mul(*stride).and_then(|step| reach.checked_add(step))
        });
        let inside = reach.is_some_and(|last| last < bytes.len() / size);
        if count > 0 && !inside || count > bytes.len() / size {
            return Err(format!("shape {:?} reaches beyond its {} bytes", self.shape, bytes.len()));
        }
        let is_contiguous = self.is_contiguous();
        let place = |index| if is_contiguous { self.offset + index } else { self.place(index) };
        let places = (0..count).map(|index| place(index) * size);
        let cell = |at: usize| &bytes[at..at + size];
        Ok(match self.storage.kind {
            PickledElement::Half => {
                TensorValues::F32(places.map(|at| f16::from_le_bytes(fixed(cell(at))).to_f32()).collect())
            }
            PickledElement::BFloat16 => {
                TensorValues::F32(places.map(|at| bf16::from_le_bytes(fixed(cell(at))).to_f32()).collect())
            }
            PickledElement::Float => TensorValues::F32(places.map(|at| f32::from_le_bytes(fixed(cell(at)))).collect()),
            PickledElement::Double => {
                TensorValues::F32(places.map(|at| f64::from_le_bytes(fixed(cell(at))) as f32).collect())
            }
            PickledElement::Int => {
                TensorValues::I64(places.map(|at| i64::from(i32::from_le_bytes(fixed(cell(at))))).collect())
            }
            PickledElement::Long => TensorValues::I64(places.map(|at| i64::from_le_bytes(fixed(cell(at)))).collect()),
            PickledElement::Other(_) => return Err("numbers of its type are not read".into()),
        })
    }

    /// Whether the elements lie one behind the other in their order.
    fn is_contiguous(&self) -> bool {
        let mut next: usize = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(axis, stride)| {
            let fits = *axis == 1 || *stride == next;
            next = next.wrapping_mul(*axis);
            fits
        })
    }

    fn place(&self, mut index: usize) -> usize {
        let mut place = self.offset;
        for (axis, stride) in self.shape.iter().zip(&self.strides).rev() {
            place += index % axis * stride;
            index /= axis;
        }
        place
    }
}

fn size(item: &Item<PickledPart>) -> Result<usize, Problem> {
    match item {
        Item::Int(value) => usize::try_from(*value).map_err(|_| format!("a tensor has a size of {value}")),
        other => Err(format!("a tensor has a size that is not a number: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pickle;

    fn short(text: &str) -> Vec<u8> {
        [b"\x8c", &[text.len() as u8][..], text.as_bytes()].concat()
    }

    fn storage(class: &str, key: &str) -> Vec<u8> {
        let class = format!("ctorch\n{class}\n");
        [b"(", &short("storage")[..], class.as_bytes(), &short(key), &short("cpu"), b"K\x04tQ"].concat()
    }

    /// A dictionary of one entry.
    fn dictionary(name: &str, value: &[u8]) -> Vec<u8> {
        [b"\x80\x02}", &short(name)[..], value, b"s."].concat()
    }

    fn described(code: &[u8]) -> Result<Vec<(String, PickledTensor)>, Problem> {
        pickle::read(code).and_then(weights)
    }

    /// The bytes that Python's `pickle` writes of an object of `torch.FloatTensor` whose `__getstate__` is (storage, 0, (2, 2), (2, 1)),
    /// as PyTorch 0.1 had it and torchvision's VGG weights of 2017 have.
    fn with_state(class: &str, storage: &[u8]) -> Vec<u8> {
        [b"c", class.as_bytes(), b"\n)\x81(", storage, b"K\x00K\x02K\x02\x86K\x02K\x01\x86tb"].concat()
    }

    #[test]
    fn tensors_of_pytorch_0_1_are_objects_with_a_state() {
        for class in ["torch\nFloatTensor", "torch.cuda\nFloatTensor"] {
            let code = dictionary("a", &with_state(class, &storage("FloatStorage", "0")));
            let found = described(&code).unwrap();
            let (name, tensor) = &found[0];
            assert_eq!((name.as_str(), &tensor.shape, &tensor.strides), ("a", &vec![2, 2], &vec![2, 1]));
            let bytes: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|number| number.to_le_bytes()).collect();
            assert_eq!(tensor.gather(&bytes).unwrap(), TensorValues::F32(vec![1.0, 2.0, 3.0, 4.0]));
        }
        let problem = |value: &[u8]| described(&dictionary("a", value)).unwrap_err();
        let other = with_state("torch\nFloatTensor", &storage("LongStorage", "0"));
        assert!(problem(&other).contains("another type of numbers"));
        assert!(problem(b"ctorch\nFloatTensor\n)\x81K\x01K\x02\x86b").contains("a tuple of 2, expected its storage"));
        assert!(problem(b"ctorch\nFloatTensor\n)\x81Nb").contains("not a tuple"));
        assert!(problem(b"ctorch\nFloatTensor\n)\x81").starts_with("the tensor `a` has no numbers"));
    }

    #[test]
    fn what_is_beside_the_weights_of_a_checkpoint_may_be_anything() {
        let tensor = with_state("torch\nFloatTensor", &storage("FloatStorage", "0"));
        let bytes = with_state("torch\nByteTensor", &storage("ByteStorage", "1"));
        // What `numpy.float64(0.5)` is in a pickle of protocol 2: a type with a state, and a call on bytes that another call makes.
        let scalar = b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nX\x02\x00\x00\x00f8K\x00K\x01\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbc_codecs\nencode\nX\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc3\xa0?X\x06\x00\x00\x00latin1\x86R\x86R";
        let unknown = [b"cmodels\nLog\n)\x81}", &short("sum")[..], &storage("ShortStorage", "2"), b"sb"].concat();
        let filled = [b"cmodels\nLog\n)\x81", &short("sum")[..], b"K\x01s"].concat();
        for beside in [&bytes[..], scalar, &unknown, &filled, b"ccollections\ndefaultdict\nc__builtin__\ndict\n\x85R"] {
            let inner = [b"}", &short("a")[..], &tensor, b"s"].concat();
            let code = [b"\x80\x02}(", &short("best")[..], beside, &short("state_dict"), &inner, b"u."].concat();
            let found = described(&code).unwrap();
            assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a"]);
        }
        // A storage in what is not run still has its place and length.
        let read = pickle::read(&dictionary("log", &unknown)).unwrap();
        let mut storages = BTreeMap::new();
        collect_storages(&read, &mut storages);
        assert_eq!(storages["2"].bytes, 8);
    }

    #[test]
    fn among_weights_it_is_refused_and_named() {
        let problem = |value: &[u8]| described(&dictionary("a", value)).unwrap_err();
        assert!(problem(b"cposix\nsystem\nX\x04\x00\x00\x00true\x85R").contains("`posix.system`, which is not run"));
        let bytes = with_state("torch\nByteTensor", &storage("ByteStorage", "1"));
        assert!(problem(&bytes).starts_with("`a` has numbers of a type that weights do not have"));
        let inner = [b"}", &short("a")[..], b"cmodels\nNet\n)\x81s"].concat();
        assert!(described(&dictionary("state_dict", &inner)).unwrap_err().contains("`models.Net`"));
        assert!(described(b"\x80\x02cmodels\nNet\n)\x81.").unwrap_err().contains("`models.Net`"));
    }

    /// What Python 2 writes of `OrderedDict([("a", tensor)])`: a call with a list of lists, and texts as its `str`.
    #[test]
    fn dictionaries_of_python_2_are_read() {
        let text = |text: &str| [b"U", &[text.len() as u8][..], text.as_bytes()].concat();
        let storage =
            [b"(", &text("storage")[..], b"ctorch\nFloatStorage\n", &text("0"), b"T\x03\x00\x00\x00cpuK\x04NtQ"]
                .concat();
        let tensor = [b"ctorch._utils\n_rebuild_tensor\n(", &storage[..], b"K\x00K\x04\x85K\x01\x85tR"].concat();
        let code = [b"\x80\x02ccollections\nOrderedDict\n]](", &text("a")[..], &tensor, b"ea\x85R."].concat();
        let found = described(&code).unwrap();
        assert_eq!((found[0].0.as_str(), &found[0].1.shape), ("a", &vec![4]));
    }
}
