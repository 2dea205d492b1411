//! Reads pickles without Python and without running anything from them: numbers, text, bytes, tuples, lists, dictionaries.
//!
//! A pickle is a program for a stack machine that could call anything. This reader has the operations that build plain data;
//! calls and persistent ids are converted by the [`Object`] of a format, which refuses those that it does not allow. Values are in
//! an arena, so that a pickle may refer to one twice and change it after; they become [`Item`]s for the format and in the end. A file
//! from elsewhere may also try to exhaust memory: how many operations there are, how deep items are nested and how many of them
//! are made is bounded, and texts and bytes are shared.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::number_bytes::fixed;

/// A fault of a pickle, as a message.
pub type Problem = String;

/// Greatest number of operations in a pickle, each of which makes one value at most.
const MOST_STEPS: usize = 1 << 20;
/// Greatest depth of items within items.
const MOST_DEPTH: usize = 32;
/// Greatest number of items that are made of the values, some of them more than once.
const MOST_ITEMS: usize = 2 << 20;

/// How a format converts the operations that plain data do not need.
pub trait Object: Clone {
    /// The object that a persistent id refers to.
    ///
    /// # Errors
    /// The format has no such id.
    fn persistent(id: Item<Self>) -> Result<Self, Problem>;

    /// The result of a call of a class or function with this name.
    ///
    /// # Errors
    /// The format allows no such call.
    fn call(name: &str, arguments: &[Item<Self>]) -> Result<Item<Self>, Problem>;

    /// Sets what an object is made of, after it was made: attributes, which the format need not have.
    ///
    /// # Errors
    /// The object cannot be made of this.
    fn build(&mut self, _state: Item<Self>) -> Result<(), Problem> {
        Ok(())
    }

    /// Adds items to an object, as to a list, or keys and values in turn, as to a dictionary.
    ///
    /// # Errors
    /// The object has no items.
    fn extend(&mut self, _items: Vec<Item<Self>>) -> Result<(), Problem> {
        Err("the pickle adds items to something that is neither a list nor a dictionary".into())
    }
}

/// Reads a pickle.
///
/// # Errors
/// It is damaged, too large, or does something that neither plain data nor the format needs.
pub fn read<O: Object>(code: &[u8]) -> Result<Item<O>, Problem> {
    Machine::run(code)
}

/// Reads the first of several pickles in a row; the bytes behind it are returned too.
///
/// # Errors
/// As [`read`].
pub fn read_first<O: Object>(code: &[u8]) -> Result<(Item<O>, &[u8]), Problem> {
    Machine::run_first(code)
}

/// A value in a pickle.
#[derive(Clone, Debug, PartialEq)]
pub enum Item<O> {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(Arc<str>),
    /// Bytes, or an array of bytes.
    Bytes(Arc<[u8]>),
    /// The name of a class or function, `module.name`; never looked up.
    Global(Arc<str>),
    /// A tuple.
    Tuple(Vec<Item<O>>),
    /// A list.
    List(Vec<Item<O>>),
    /// A dictionary, in order.
    Dict(Vec<(Item<O>, Item<O>)>),
    /// The object of a call or a persistent id.
    Object(O),
}

/// A place in the arena.
type Place = usize;

/// A value in the arena; what it consists of is elsewhere in it.
#[derive(Clone)]
enum Value<O> {
    /// One that consists of nothing else.
    Leaf(Item<O>),
    Tuple(Vec<Place>),
    List(Vec<Place>),
    Dict(Vec<(Place, Place)>),
}

/// The stack machine of the pickle format, as far as plain data need it.
struct Machine<'a, O> {
    code: &'a [u8],
    values: Vec<Value<O>>,
    stack: Vec<Place>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Place>,
    /// Items made so far.
    items: usize,
}

impl<'a, O: Object> Machine<'a, O> {
    fn run(code: &'a [u8]) -> Result<Item<O>, Problem> {
        Self::run_first(code).map(|(item, _)| item)
    }

    fn run_first(code: &'a [u8]) -> Result<(Item<O>, &'a [u8]), Problem> {
        let mut machine =
            Self { code, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new(), items: 0 };
        for _ in 0..MOST_STEPS {
            let operation = machine.byte()?;
            if operation == b'.' {
                let result = machine.pop()?;
                let item = machine.item(result, MOST_DEPTH)?;
                return Ok((item, machine.code));
            }
            machine.step(operation)?;
        }
        Err(format!("the pickle has more than {MOST_STEPS} operations, the most that are read"))
    }

    fn step(&mut self, operation: u8) -> Result<(), Problem> {
        match operation {
            // The version of the protocol, and the length of a frame.
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'c' | 0x93 => self.global(operation)?,
            b'}' => self.push_value(Value::Dict(Vec::new())),
            b']' => self.push_value(Value::List(Vec::new())),
            b')' => self.push_value(Value::Tuple(Vec::new())),
            b't' | 0x85..=0x87 => {
                let items = self.operands(operation)?;
                self.push_value(Value::Tuple(items));
            }
            b's' | b'u' => {
                let items = self.operands(operation)?;
                self.set(&items)?;
            }
            b'a' | b'e' => {
                let items = self.operands(operation)?;
                self.append(items)?;
            }
            b'q' | b'r' | 0x94 => self.remember(operation)?,
            b'h' | b'j' => self.recall(operation)?,
            b'Q' => self.persistent()?,
            // A new object of a class is the result of a call with its name.
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            other => {
                let leaf = self.leaf(other)?;
                self.push(leaf);
            }
        }
        Ok(())
    }

    /// The value that an operation makes of the bytes behind it.
    fn leaf(&mut self, operation: u8) -> Result<Item<O>, Problem> {
        Ok(match operation {
            b'N' => Item::None,
            0x88 | 0x89 => Item::Bool(operation == 0x88),
            b'K' => Item::Int(i64::from(self.byte()?)),
            b'M' => Item::Int(i64::from(u16::from_le_bytes(fixed(self.take(2)?)))),
            b'J' => Item::Int(i64::from(i32::from_le_bytes(fixed(self.take(4)?)))),
            b'G' => Item::Float(f64::from_be_bytes(fixed(self.take(8)?))),
            0x8a => long(self.counted(1)?)?,
            0x8b => long(self.counted(4)?)?,
            0x8c => Item::Text(self.text(1)?.into()),
            b'X' => Item::Text(self.text(4)?.into()),
            b'U' => text_of_python_2(self.counted(1)?),
            b'T' => text_of_python_2(self.counted(4)?),
            0x8d => Item::Text(self.text(8)?.into()),
            b'C' => Item::Bytes(self.counted(1)?.into()),
            b'B' => Item::Bytes(self.counted(4)?.into()),
            0x8e | 0x96 => Item::Bytes(self.counted(8)?.into()),
            other => return Err(format!("the pickle has an operation (0x{other:02x}) that plain data do not need")),
        })
    }

    /// What an operation takes from the stack: a fixed number of values, or those since the last mark.
    fn operands(&mut self, operation: u8) -> Result<Vec<Place>, Problem> {
        match operation {
            b'a' => self.last(1),
            b's' => self.last(2),
            0x85..=0x87 => self.last(usize::from(operation - 0x84)),
            _ => self.since_mark(),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Problem> {
        let (taken, rest) = self.code.split_at_checked(count).ok_or("the pickle ends too early")?;
        self.code = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        Ok(self.take(1)?[0])
    }

    fn line(&mut self) -> Result<&'a str, Problem> {
        let end = self.code.iter().position(|byte| *byte == b'\n').ok_or("the pickle ends too early")?;
        let line = self.take(end + 1)?;
        std::str::from_utf8(&line[..end]).map_err(|_| "a name in the pickle is not UTF-8".into())
    }

    /// As many bytes as a count of this width says.
    fn counted(&mut self, width: usize) -> Result<&'a [u8], Problem> {
        let mut count = [0; 8];
        count[..width].copy_from_slice(self.take(width)?);
        self.take(usize::try_from(u64::from_le_bytes(count)).unwrap_or(usize::MAX))
    }

    fn text(&mut self, width: usize) -> Result<&'a str, Problem> {
        std::str::from_utf8(self.counted(width)?).map_err(|_| "a text in the pickle is not UTF-8".into())
    }

    fn global(&mut self, operation: u8) -> Result<(), Problem> {
        let name = if operation == b'c' {
            format!("{}.{}", self.line()?, self.line()?)
        } else {
            let names = self.last(2)?;
            let [Value::Leaf(Item::Text(module)), Value::Leaf(Item::Text(name))] =
                [&self.values[names[0]], &self.values[names[1]]]
            else {
                return Err("a name in the pickle is not text".into());
            };
            format!("{module}.{name}")
        };
        self.push(Item::Global(name.into()));
        Ok(())
    }

    fn push(&mut self, item: Item<O>) {
        self.push_value(Value::Leaf(item));
    }

    fn push_value(&mut self, value: Value<O>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Place, Problem> {
        self.stack.pop().ok_or_else(|| "the pickle takes more than it gives".into())
    }

    fn top(&self) -> Result<Place, Problem> {
        self.stack.last().copied().ok_or_else(|| "the pickle takes more than it gives".into())
    }

    fn last(&mut self, count: usize) -> Result<Vec<Place>, Problem> {
        let start = self.stack.len().checked_sub(count).ok_or("the pickle takes more than it gives")?;
        Ok(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Result<Vec<Place>, Problem> {
        let mark = self
            .marks
            .pop()
            .filter(|mark| *mark <= self.stack.len())
            .ok_or("the pickle closes what it did not open")?;
        Ok(self.stack.split_off(mark))
    }

    fn set(&mut self, items: &[Place]) -> Result<(), Problem> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::Dict(pairs) => pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            Value::Leaf(Item::Object(_)) => self.extend(top, items.to_vec())?,
            _ => return Err("the pickle sets an entry of something that is not a dictionary".into()),
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Place>) -> Result<(), Problem> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(list) => list.extend(items),
            Value::Leaf(Item::Object(_)) => self.extend(top, items)?,
            _ => return Err("the pickle appends to something that is not a list".into()),
        }
        Ok(())
    }

    /// Adds items to the object of a format.
    fn extend(&mut self, top: Place, items: Vec<Place>) -> Result<(), Problem> {
        let items = self.all(items, MOST_DEPTH)?;
        match &mut self.values[top] {
            Value::Leaf(Item::Object(object)) => object.extend(items),
            _ => Ok(()),
        }
    }

    fn remember(&mut self, operation: u8) -> Result<(), Problem> {
        let at = match operation {
            b'q' => u32::from(self.byte()?),
            b'r' => u32::from_le_bytes(fixed(self.take(4)?)),
            _ => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
        };
        let top = self.top()?;
        self.memo.insert(at, top);
        Ok(())
    }

    fn recall(&mut self, operation: u8) -> Result<(), Problem> {
        let at = match operation {
            b'h' => u32::from(self.byte()?),
            _ => u32::from_le_bytes(fixed(self.take(4)?)),
        };
        let place = self.memo.get(&at).ok_or("the pickle refers to something that it did not make")?;
        self.stack.push(*place);
        Ok(())
    }

    fn persistent(&mut self) -> Result<(), Problem> {
        let id = self.pop()?;
        let id = self.item(id, MOST_DEPTH)?;
        self.push(Item::Object(O::persistent(id)?));
        Ok(())
    }

    fn call(&mut self) -> Result<(), Problem> {
        let places = self.last(2)?;
        let (Value::Leaf(Item::Global(name)), Item::Tuple(arguments)) =
            (self.values[places[0]].clone(), self.item(places[1], MOST_DEPTH)?)
        else {
            return Err("the pickle calls something that has no name".into());
        };
        let result = O::call(&name, &arguments)?;
        let value = self.value(result);
        self.push_value(value);
        Ok(())
    }

    fn build(&mut self) -> Result<(), Problem> {
        let (state, top) = (self.pop()?, self.top()?);
        if matches!(self.values[top], Value::Leaf(Item::Object(_))) {
            let state = self.item(state, MOST_DEPTH)?;
            if let Value::Leaf(Item::Object(object)) = &mut self.values[top] {
                object.build(state)?;
            }
        }
        // Attributes of others, such as `_metadata` of an ordered dictionary, are not data.
        Ok(())
    }

    /// The item of a value, in which at most `depth` are nested.
    fn item(&mut self, place: Place, depth: usize) -> Result<Item<O>, Problem> {
        self.items += 1;
        if self.items > MOST_ITEMS {
            return Err(format!("the pickle refers to more than {MOST_ITEMS} items, the most that is read"));
        }
        let below = depth
            .checked_sub(1)
            .ok_or_else(|| format!("the pickle nests more than {MOST_DEPTH} items, the most that is read"))?;
        Ok(match self.values[place].clone() {
            Value::Leaf(item) => item,
            Value::Tuple(places) => Item::Tuple(self.all(places, below)?),
            Value::List(places) => Item::List(self.all(places, below)?),
            Value::Dict(pairs) => {
                let pairs =
                    pairs.into_iter().map(|(key, value)| Ok((self.item(key, below)?, self.item(value, below)?)));
                Item::Dict(pairs.collect::<Result<_, Problem>>()?)
            }
        })
    }

    fn all(&mut self, places: Vec<Place>, depth: usize) -> Result<Vec<Item<O>>, Problem> {
        places.into_iter().map(|place| self.item(place, depth)).collect()
    }

    /// The value of an item.
    fn value(&mut self, item: Item<O>) -> Value<O> {
        let mut place = |item: Item<O>| {
            let value = self.value(item);
            self.values.push(value);
            self.values.len() - 1
        };
        match item {
            Item::Tuple(items) => Value::Tuple(items.into_iter().map(place).collect()),
            Item::List(items) => Value::List(items.into_iter().map(place).collect()),
            Item::Dict(pairs) => {
                Value::Dict(pairs.into_iter().map(|(key, value)| (place(key), place(value))).collect())
            }
            leaf => Value::Leaf(leaf),
        }
    }
}

/// A `str` of Python 2, which is text or bytes: text if it is UTF-8.
fn text_of_python_2<O>(bytes: &[u8]) -> Item<O> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Item::Text(text.into()),
        Err(_) => Item::Bytes(bytes.into()),
    }
}

/// A whole number in as few bytes as it needs.
fn long<O>(bytes: &[u8]) -> Result<Item<O>, Problem> {
    if bytes.len() > 8 {
        return Err("a number in the pickle has more than 64 bits".into());
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Ok(Item::Int(i64::from_le_bytes(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A format that allows no calls.
    #[derive(Clone, Debug, PartialEq)]
    enum Nothing {}

    impl Object for Nothing {
        fn persistent(_: Item<Self>) -> Result<Self, Problem> {
            Err("there are no ids".into())
        }

        fn call(name: &str, _: &[Item<Self>]) -> Result<Item<Self>, Problem> {
            Err(format!("nothing may be called, not `{name}`"))
        }
    }

    #[test]
    fn a_call_is_refused() {
        let problem = Machine::<Nothing>::run(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap_err();
        assert!(problem.contains("`posix.system`"), "{problem}");
    }

    #[test]
    fn a_new_object_is_a_call() {
        let problem = Machine::<Nothing>::run(b"\x80\x02cposix\nsystem\n)\x81.").unwrap_err();
        assert!(problem.contains("`posix.system`"), "{problem}");
    }

    #[test]
    fn pickles_in_a_row_are_read_one_by_one() {
        let (first, rest) = read_first::<Nothing>(b"\x80\x02K\x01.\x80\x02K\x02.xyz").unwrap();
        let (second, rest) = read_first::<Nothing>(rest).unwrap();
        assert_eq!((first, second, rest), (Item::Int(1), Item::Int(2), &b"xyz"[..]));
    }

    #[test]
    fn what_would_exhaust_memory_is_refused() {
        let deep = [b")".to_vec(), b"\x85".repeat(100_000), b".".to_vec()].concat();
        assert!(Machine::<Nothing>::run(&deep).unwrap_err().contains("nests more than 32"));
        // Each line pairs what the line before made with itself.
        let doubling: Vec<u8> = (0..30).flat_map(|_| *b"q\x00h\x00\x86").collect();
        let problem = Machine::<Nothing>::run(&[b")".to_vec(), doubling, b".".to_vec()].concat()).unwrap_err();
        assert!(problem.contains("refers to more than"), "{problem}");
        // A list in itself.
        assert!(Machine::<Nothing>::run(b"]q\x00h\x00a.").unwrap_err().contains("nests more than 32"));
        assert!(Machine::<Nothing>::run(&b"N".repeat(MOST_STEPS)).unwrap_err().contains("operations"));
        assert!(Machine::<Nothing>::run(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fab.").unwrap_err().contains("too early"));
    }

    #[test]
    fn what_is_referred_to_twice_is_one_value() {
        // A list is remembered, recalled, and filled after: [l, l] with l = [1].
        let read = Machine::<Nothing>::run(b"](]q\x01h\x01K\x01ae.").unwrap();
        let one = Item::List(vec![Item::Int(1)]);
        assert_eq!(read, Item::List(vec![one.clone(), one]));
    }

    #[test]
    fn numbers_texts_and_bytes_are_read() {
        let read = |code: &[u8]| Machine::<Nothing>::run(code).unwrap();
        assert_eq!(read(b"G\xbf\xe0\x00\x00\x00\x00\x00\x00."), Item::Float(-0.5));
        assert_eq!(read(b"\x8b\x02\x00\x00\x00\xff\xfe."), Item::Int(-257));
        assert_eq!(read(b"\x88."), Item::Bool(true));
        assert_eq!(read(b"C\x02ab."), Item::Bytes(b"ab"[..].into()));
        assert_eq!(read(b"\x8c\x02ab."), Item::Text("ab".into()));
        assert_eq!(read(b"U\x02ab."), Item::Text("ab".into()));
        assert_eq!(read(b"T\x02\x00\x00\x00\xff\xfe."), Item::Bytes(b"\xff\xfe"[..].into()));
    }
}
