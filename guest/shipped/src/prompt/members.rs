//! Reading the members of a JSON object.

/// Reads an object's members by their names. A member of any other name is skipped and named among the ignored ones.
///
/// Each row gives the treatment of a member's value: `value(target, shape)` stores `Some` of it, `nullable(target, shape)`
/// takes null for None, `or_default(target, shape)` takes null for the default, `skip()` drops it unread, and `run { … }` reads
/// it itself.
macro_rules! read_members {
    ($reader:ident, $fields:ident, { $($($name:literal)|+ => $how:ident $arguments:tt,)* }) => {
        while let Some(key) = $reader.key(&mut $fields)? {
            match key.as_ref() {
                $($($name)|+ => read_members!(@$how $reader, $fields, ($($name)|+), $arguments),)*
                other => $reader.unknown(&mut $fields, other)?,
            }
        }
    };
    (@value $reader:ident, $fields:ident, ($name:literal), ($target:expr, $shape:expr)) => {
        $target = Some($reader.field(&mut $fields, $name, $shape)?)
    };
    (@nullable $reader:ident, $fields:ident, ($name:literal), ($target:expr, $shape:expr)) => {
        $target = $reader.nullable(&mut $fields, $name, $shape)?
    };
    (@or_default $reader:ident, $fields:ident, ($name:literal), ($target:expr, $shape:expr)) => {
        $target = $reader.or_default(&mut $fields, $name, $shape)?
    };
    (@skip $reader:ident, $fields:ident, $names:tt, ()) => {{
        $fields.next_value::<serde::de::IgnoredAny>()?;
    }};
    (@run $reader:ident, $fields:ident, $names:tt, $body:block) => {
        $body
    };
}

pub(super) use read_members;
