//! The shape of a value: kinds of JSON, enumerated texts, and whether it may be absent. Pure.
//!
//! The tables write a shape as `string|null?: never, on-request`. A `?` after the kinds: the value may be absent. A `?` after a
//! text: the gateway can do without it. A final `…`: other texts are possible.

use std::collections::BTreeSet;
use std::fmt;

/// Kinds of JSON values, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

/// Each kind with its name. Integers are distinguished from other numbers.
const NAMES: [(u8, &str); 7] = [
    (1, "object"),
    (2, "array"),
    (4, "string"),
    (8, "integer"),
    (16, "fraction"),
    (32, "boolean"),
    (64, "null"),
];

impl Kinds {
    pub(super) const ANY: Self = Self(127);
    pub(super) const NONE: Self = Self(0);
    pub(super) const OBJECT: Self = Self(1);
    pub(super) const ARRAY: Self = Self(2);
    pub(super) const STRING: Self = Self(4);
    pub(super) const NULL: Self = Self(64);

    /// The kind of this name in JSON Schema.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "any" => Some(Self::ANY),
            "number" => Some(Self(8 | 16)),
            _ => NAMES
                .iter()
                .find(|(_, known)| *known == name)
                .map(|(bit, _)| Self(*bit)),
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.and(other) == other
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::ANY {
            return f.write_str("any");
        }
        let number = Self(8 | 16);
        let mut names: Vec<&str> = Vec::new();
        for (bit, name) in NAMES {
            match bit {
                8 if self.has(number) => names.push("number"),
                16 if self.has(number) => {}
                _ if self.0 & bit != 0 => names.push(name),
                _ => {}
            }
        }
        f.write_str(&names.join("|"))
    }
}

/// The shape of the values of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ValueShape {
    pub(super) kinds: Kinds,
    /// Whether the value may be absent.
    pub(super) optional: bool,
    /// The enumerated texts.
    pub(super) texts: BTreeSet<String>,
    /// Those of [`Self::texts`] that the gateway can do without. Only in the table `used.json`.
    pub(super) optional_texts: BTreeSet<String>,
    /// Whether other texts are possible.
    pub(super) open: bool,
}

impl ValueShape {
    /// Parses the form of the tables.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (head, tail) = match text.split_once(": ") {
            Some((head, tail)) => (head, Some(tail)),
            None => (text, None),
        };
        let (names, optional) = match head.strip_suffix('?') {
            Some(names) => (names, true),
            None => (head, false),
        };
        let mut kinds = Kinds::NONE;
        for name in names.split('|') {
            kinds = kinds.or(Kinds::named(name)?);
        }
        let mut shape = Self {
            kinds,
            optional,
            texts: BTreeSet::new(),
            optional_texts: BTreeSet::new(),
            open: tail.is_none() && kinds.has(Kinds::STRING),
        };
        for word in tail.into_iter().flat_map(|tail| tail.split(", ")) {
            if word == "…" {
                shape.open = true;
                continue;
            }
            let (word, is_optional) = match word.strip_suffix('?') {
                Some(word) => (word, true),
                None => (word, false),
            };
            shape.texts.insert(word.to_owned());
            if is_optional {
                shape.optional_texts.insert(word.to_owned());
            }
        }
        Some(shape)
    }

    /// Why the gateway, which reads `ours`, cannot read values of this shape. None: it can.
    pub(super) fn unreadable_as(&self, ours: &Self) -> Option<String> {
        if self.optional && !ours.optional {
            return Some("may be absent".to_owned());
        }
        let absent = if ours.optional {
            Kinds::NULL
        } else {
            Kinds::NONE
        };
        let strange = self.kinds.without(ours.kinds).without(absent);
        (!strange.is_empty())
            .then(|| format!("is {}, where airlock reads {}", self.kinds, ours.kinds))
    }

    /// Why Codex, with this shape, refuses values of the shape `ours`, which the gateway sends. None: it accepts them.
    pub(super) fn refused_as(&self, ours: &Self) -> Option<String> {
        let strange = ours.kinds.without(self.kinds);
        if !strange.is_empty() && ours.kinds != Kinds::ANY {
            return Some(format!(
                "is {}, where airlock sends {}",
                self.kinds, ours.kinds
            ));
        }
        let narrowed = ours.texts.is_empty() && ours.kinds.has(Kinds::STRING) && !self.open;
        narrowed.then(|| {
            let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
            format!("is only {}, where airlock sends any text", texts.join(", "))
        })
    }

    /// The texts that the gateway needs and that are not enumerated. If the schema enumerates none, none are lacking.
    pub(super) fn lacks<'a>(&'a self, ours: &'a Self) -> impl Iterator<Item = &'a str> {
        let unknown = self.open && self.texts.is_empty();
        let needed = ours.texts.difference(&ours.optional_texts);
        needed
            .filter(move |text| !unknown && !self.texts.contains(*text))
            .map(String::as_str)
    }
}

impl fmt::Display for ValueShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kinds)?;
        if self.optional {
            f.write_str("?")?;
        }
        if !self.texts.is_empty() {
            let texts: Vec<&str> = self.texts.iter().map(String::as_str).collect();
            write!(f, ": {}", texts.join(", "))?;
            if self.open {
                f.write_str(", …")?;
            }
        }
        Ok(())
    }
}
