//! Small values that several dialects have: names, efforts, `reasoning`.

use std::borrow::Cow;

use serde::de::{self, MapAccess};

use super::members::read_members;
use super::problems::quoted;
use super::reader::Reader;
use super::shape::{JsonShape, Scalar, StringShape};
use crate::bindings::airlock::policy::types::Selection;

/// The name that stands for the default model of Codex's home.
pub(super) const DEFAULT_MODEL: &str = "default";

/// The most characters of a reasoning effort.
const EFFORT_AT_MOST: usize = 32;

/// A string with at least one character that is not whitespace.
pub(super) struct NonEmptyString;

impl<'de> JsonShape<'de> for NonEmptyString {
    type Value = Cow<'de, str>;
    const EXPECTED: &'static str = StringShape::EXPECTED;
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        let name = StringShape.scalar(reader, scalar)?;
        if name.trim().is_empty() {
            return Err(reader.invalid("must not be empty"));
        }
        Ok(name)
    }
}

/// A reasoning effort. New models have new efforts, so any lower-case word is passed on.
pub(super) struct EffortShape;

impl<'de> JsonShape<'de> for EffortShape {
    type Value = String;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<String, E> {
        let effort = StringShape.scalar(reader, scalar)?;
        if !is_effort(&effort) {
            return Err(reader.invalid(&format!(
                "expected `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or another word that the model knows, found `{}`",
                quoted(&effort)
            )));
        }
        Ok(effort.into_owned())
    }
}

/// Whether a text can be a reasoning effort.
pub(super) fn is_effort(text: &str) -> bool {
    let is_lowercase = text.bytes().all(|byte| byte.is_ascii_lowercase());
    (1..=EFFORT_AT_MOST).contains(&text.len()) && is_lowercase
}

/// `reasoning`, as in the Responses API.
#[derive(Default)]
pub(super) struct ReasoningOptions {
    pub(super) effort: Option<String>,
    /// `auto`, `concise` or `detailed`.
    pub(super) summary: Option<&'static str>,
}

pub(super) struct ReasoningOptionsShape;

impl<'de> JsonShape<'de> for ReasoningOptionsShape {
    type Value = ReasoningOptions;
    const EXPECTED: &'static str = "an object";

    fn object<A: MapAccess<'de>>(
        self,
        reader: &mut Reader<'_>,
        mut fields: A,
    ) -> Result<ReasoningOptions, A::Error> {
        let mut reasoning = ReasoningOptions::default();
        read_members!(reader, fields, {
            "effort" => nullable(reasoning.effort, EffortShape),
            "summary" => run {
                reasoning.summary = reader.nullable(&mut fields, "summary", SummaryShape)?
                    .flatten();
            },
        });
        Ok(reasoning)
    }
}

/// The kind of reasoning summary. None for `none`.
struct SummaryShape;

impl<'de> JsonShape<'de> for SummaryShape {
    type Value = Option<&'static str>;
    const EXPECTED: &'static str = "a string";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        let summary = StringShape.scalar(reader, scalar)?;
        match summary.as_ref() {
            "none" => Ok(None),
            "auto" => Ok(Some("auto")),
            "concise" => Ok(Some("concise")),
            "detailed" => Ok(Some("detailed")),
            other => Err(reader.invalid(&format!(
                "expected `auto`, `concise`, `detailed` or `none`, found `{}`",
                quoted(other)
            ))),
        }
    }
}

/// How long the answer should be. Codex (0.169) sends it as `text.verbosity`.
pub(super) struct VerbosityShape;

impl<'de> JsonShape<'de> for VerbosityShape {
    type Value = &'static str;
    const EXPECTED: &'static str = "one of `low`, `medium`, `high`";
    const IS_SCALAR: bool = true;

    fn scalar<E: de::Error>(
        self,
        reader: &mut Reader<'_>,
        scalar: Scalar<'de>,
    ) -> Result<Self::Value, E> {
        let Scalar::Text(verbosity) = scalar else {
            return Err(reader.wrong(Self::EXPECTED, scalar.kind()));
        };
        match verbosity.as_ref() {
            "low" => Ok("low"),
            "medium" => Ok("medium"),
            "high" => Ok("high"),
            other => Err(reader.wrong(Self::EXPECTED, &format!("`{}`", quoted(other)))),
        }
    }
}

/// The selection of a model or effort by the request's field `param`.
pub(super) fn selection(name: Option<String>, param: &str) -> Option<Selection> {
    let param = param.to_owned();
    name.map(|name| Selection { name, param })
}
