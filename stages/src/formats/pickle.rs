//! Reads pickles without Python and without running anything from them: numbers, text, tuples, lists, dictionaries.
//!
//! A pickle is a program for a stack machine that could call anything. This reader knows the operations that build plain data;
//! calls and persistent ids are converted by the [`Object`] of a format, which refuses those that it does not allow. A file
//! from elsewhere may also try to exhaust memory: how many operations there are, how deep items are nested and how many of them
//! are copied is bounded.

use std::collections::BTreeMap;

/// A fault of a pickle, as a message.
pub type Problem = String;

/// Greatest number of operations in a pickle, each of which makes one item at most.
const MOST_STEPS: usize = 1 << 20;
/// Greatest depth of items within items.
const MOST_DEPTH: usize = 32;
/// Greatest number of items that are copied because the pickle refers to them again.
const MOST_COPIES: usize = 1 << 20;

/// How a format converts the two operations that plain data do not need.
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

    /// Its size against that of a number, for the bound on copies.
    fn weight(&self) -> usize;
}

/// Reads a pickle.
///
/// # Errors
/// It is damaged, too large, or does something that neither plain data nor the format needs.
pub fn read<O: Object>(code: &[u8]) -> Result<Item<O>, Problem> {
    Machine::run(code)
}

/// A value in a pickle.
#[derive(Clone, Debug)]
pub enum Item<O> {
    /// `None`.
    None,
    /// A truth value, which is not read.
    Bool,
    /// A whole number.
    Int(i64),
    /// Text.
    Text(String),
    /// The name of a class or function, `module.name`; never looked up.
    Global(String),
    /// A tuple.
    Tuple(Vec<Item<O>>),
    /// A list.
    List(Vec<Item<O>>),
    /// A dictionary, in order.
    Dict(Vec<(Item<O>, Item<O>)>),
    /// The object of a call or a persistent id.
    Object(O),
}

impl<O: Object> Item<O> {
    fn parts(&self) -> Box<dyn Iterator<Item = &Item<O>> + '_> {
        match self {
            Item::Tuple(items) | Item::List(items) => Box::new(items.iter()),
            Item::Dict(pairs) => Box::new(pairs.iter().flat_map(|(key, value)| [key, value])),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Items of which this one consists, itself included; a text counts by its length.
    fn weight(&self) -> usize {
        let own = match self {
            Item::Text(text) | Item::Global(text) => text.len() / 64,
            Item::Object(object) => object.weight(),
            _ => 0,
        };
        1 + own + self.parts().map(Item::weight).sum::<usize>()
    }

    /// Whether items are nested at most this deep.
    fn is_within(&self, depth: usize) -> bool {
        depth > 0 && self.parts().all(|part| part.is_within(depth - 1))
    }
}

/// The stack machine of the pickle format, as far as plain data need it.
struct Machine<'a, O> {
    code: &'a [u8],
    stack: Vec<Item<O>>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Item<O>>,
    /// Items copied so far.
    copies: usize,
}

impl<'a, O: Object> Machine<'a, O> {
    fn run(code: &'a [u8]) -> Result<Item<O>, Problem> {
        let mut machine = Self { code, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new(), copies: 0 };
        for _ in 0..MOST_STEPS {
            let operation = machine.byte()?;
            if operation == b'.' {
                return machine.pop();
            }
            machine.step(operation)?;
        }
        Err(format!("the pickle has more than {MOST_STEPS} operations, the most that are read"))
    }

    fn step(&mut self, operation: u8) -> Result<(), Problem> {
        match operation {
            0x80 => drop(self.byte()?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Item::None),
            0x88 | 0x89 => self.stack.push(Item::Bool),
            b'K' => {
                let value = i64::from(self.byte()?);
                self.stack.push(Item::Int(value));
            }
            b'M' => {
                let value = i64::from(u16::from_le_bytes(fixed(self.take(2)?)));
                self.stack.push(Item::Int(value));
            }
            b'J' => {
                let value = i64::from(i32::from_le_bytes(fixed(self.take(4)?)));
                self.stack.push(Item::Int(value));
            }
            0x8a => self.long()?,
            b'X' => self.text(4)?,
            0x8c => self.text(1)?,
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.stack.push(Item::Global(name));
            }
            0x93 => self.stack_global()?,
            b'}' => self.stack.push(Item::Dict(Vec::new())),
            b']' => self.stack.push(Item::List(Vec::new())),
            b')' => self.stack.push(Item::Tuple(Vec::new())),
            b't' => {
                let items = self.since_mark()?;
                self.tuple(items)?;
            }
            0x85..=0x87 => {
                let items = self.last(usize::from(operation - 0x84))?;
                self.tuple(items)?;
            }
            b's' => {
                let items = self.last(2)?;
                self.set(items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(items)?;
            }
            b'a' => {
                let items = self.last(1)?;
                self.append(items)?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            b'q' => {
                let at = u32::from(self.byte()?);
                self.remember(at)?;
            }
            b'r' => {
                let at = u32::from_le_bytes(fixed(self.take(4)?));
                self.remember(at)?;
            }
            0x94 => self.remember(u32::try_from(self.memo.len()).unwrap_or(u32::MAX))?,
            b'h' => {
                let at = u32::from(self.byte()?);
                self.recall(at)?;
            }
            b'j' => {
                let at = u32::from_le_bytes(fixed(self.take(4)?));
                self.recall(at)?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.stack.push(Item::Object(O::persistent(id)?));
            }
            b'R' => self.call()?,
            // Attributes of an object, such as `_metadata` of an ordered dictionary: not data.
            b'b' => drop(self.pop()?),
            other => {
                return Err(format!("the pickle has an operation (0x{other:02x}) that plain data do not need"));
            }
        }
        Ok(())
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

    fn text(&mut self, width: usize) -> Result<(), Problem> {
        let mut length = [0; 8];
        length[..width].copy_from_slice(self.take(width)?);
        let bytes = self.take(usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX))?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| "a text in the pickle is not UTF-8")?;
        self.stack.push(Item::Text(text));
        Ok(())
    }

    fn long(&mut self) -> Result<(), Problem> {
        let count = usize::from(self.byte()?);
        let bytes = self.take(count)?;
        if count > 8 {
            return Err("a number in the pickle has more than 64 bits".into());
        }
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        all[..count].copy_from_slice(bytes);
        self.stack.push(Item::Int(i64::from_le_bytes(all)));
        Ok(())
    }

    fn pop(&mut self) -> Result<Item<O>, Problem> {
        self.stack.pop().ok_or_else(|| "the pickle takes more than it gives".into())
    }

    fn last(&mut self, count: usize) -> Result<Vec<Item<O>>, Problem> {
        let start = self.stack.len().checked_sub(count).ok_or("the pickle takes more than it gives")?;
        Ok(self.stack.split_off(start))
    }

    fn since_mark(&mut self) -> Result<Vec<Item<O>>, Problem> {
        let mark = self
            .marks
            .pop()
            .filter(|mark| *mark <= self.stack.len())
            .ok_or("the pickle closes what it did not open")?;
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, items: Vec<Item<O>>) -> Result<(), Problem> {
        check_depth(&items)?;
        self.stack.push(Item::Tuple(items));
        Ok(())
    }

    fn set(&mut self, items: Vec<Item<O>>) -> Result<(), Problem> {
        check_depth(&items)?;
        let Some(Item::Dict(pairs)) = self.stack.last_mut() else {
            return Err("the pickle sets an entry of something that is not a dictionary".into());
        };
        let mut items = items.into_iter();
        while let (Some(key), Some(value)) = (items.next(), items.next()) {
            pairs.push((key, value));
        }
        Ok(())
    }

    fn append(&mut self, items: Vec<Item<O>>) -> Result<(), Problem> {
        check_depth(&items)?;
        let Some(Item::List(list)) = self.stack.last_mut() else {
            return Err("the pickle appends to something that is not a list".into());
        };
        list.extend(items);
        Ok(())
    }

    fn remember(&mut self, at: u32) -> Result<(), Problem> {
        // Lists and dictionaries are filled after they are remembered, so a copy made here would stay empty: they are left out,
        // and one that is recalled is an error below.
        let remembered = match self.stack.last() {
            None => return Err("the pickle takes more than it gives".into()),
            Some(Item::List(_) | Item::Dict(_)) => Item::None,
            Some(item) => copied(item, &mut self.copies)?,
        };
        self.memo.insert(at, remembered);
        Ok(())
    }

    fn recall(&mut self, at: u32) -> Result<(), Problem> {
        match self.memo.get(&at) {
            None | Some(Item::None) => Err("the pickle refers to a list or dictionary twice".into()),
            Some(item) => {
                self.stack.push(copied(item, &mut self.copies)?);
                Ok(())
            }
        }
    }

    fn stack_global(&mut self) -> Result<(), Problem> {
        match self.last(2)?.as_slice() {
            [Item::Text(module), Item::Text(name)] => {
                let name = format!("{module}.{name}");
                self.stack.push(Item::Global(name));
                Ok(())
            }
            _ => Err("a name in the pickle is not text".into()),
        }
    }

    fn call(&mut self) -> Result<(), Problem> {
        let [function, arguments]: [Item<O>; 2] =
            self.last(2)?.try_into().map_err(|_| "the pickle takes more than it gives")?;
        let (Item::Global(name), Item::Tuple(arguments)) = (function, arguments) else {
            return Err("the pickle calls something that has no name".into());
        };
        self.stack.push(O::call(&name, &arguments)?);
        Ok(())
    }
}

/// Refuses items that would be nested too deep within another.
fn check_depth<O: Object>(items: &[Item<O>]) -> Result<(), Problem> {
    match items.iter().all(|item| item.is_within(MOST_DEPTH)) {
        true => Ok(()),
        false => Err(format!("the pickle nests more than {MOST_DEPTH} items, the most that is read")),
    }
}

/// A copy, unless all copies together would be too many: references to references grow without end.
fn copied<O: Object>(item: &Item<O>, copies: &mut usize) -> Result<Item<O>, Problem> {
    *copies = copies.saturating_add(item.weight());
    match *copies > MOST_COPIES {
        true => Err(format!("the pickle refers to more than {MOST_COPIES} items again, the most that is read")),
        false => Ok(item.clone()),
    }
}

/// The first bytes as an array.
pub fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A format that allows no calls.
    #[derive(Clone, Debug)]
    enum Nothing {}

    impl Object for Nothing {
        fn persistent(_: Item<Self>) -> Result<Self, Problem> {
            Err("there are no ids".into())
        }

        fn call(name: &str, _: &[Item<Self>]) -> Result<Item<Self>, Problem> {
            Err(format!("nothing may be called, not `{name}`"))
        }

        fn weight(&self) -> usize {
            match *self {}
        }
    }

    #[test]
    fn a_call_is_refused() {
        let problem = Machine::<Nothing>::run(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap_err();
        assert!(problem.contains("`posix.system`"), "{problem}");
    }

    #[test]
    fn what_would_exhaust_memory_is_refused() {
        let deep = [b")".to_vec(), b"\x85".repeat(100_000), b".".to_vec()].concat();
        assert!(Machine::<Nothing>::run(&deep).unwrap_err().contains("nests more than 32"));
        // Each line pairs what the line before made with itself.
        let doubling: Vec<u8> = (0..30).flat_map(|_| *b"q\x00h\x00\x86").collect();
        let problem = Machine::<Nothing>::run(&[b")".to_vec(), doubling, b".".to_vec()].concat()).unwrap_err();
        assert!(problem.contains("refers to more than"), "{problem}");
        assert!(Machine::<Nothing>::run(&b"N".repeat(MOST_STEPS)).unwrap_err().contains("operations"));
    }
}
