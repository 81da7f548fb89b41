//! Names that repeat, each held once and known by a number.

use hashbrown::HashMap;

/// The names of those who registered something, or of extension kinds. The empty name has the number 0.
pub(super) struct Names {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32, std::hash::RandomState>,
}

impl Names {
    pub(super) fn new() -> Names {
        Names { names: vec!["".into()], numbers: HashMap::default() }
    }

    /// The number of a name, which is added if it is new.
    ///
    /// # Panics
    /// When there are 2^32 names.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        assert!(number < u32::MAX, "2^32 names");
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    pub(super) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map(AsRef::as_ref).unwrap_or_default()
    }
}
