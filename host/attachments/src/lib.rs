//! Attachments: images and files in base64, which are lifted out of a request body before a policy receives it, and inserted
//! again for Codex.

mod data_url; // media types and sizes
mod images; // whether an image can be decoded
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use self::images::ImageError;
use self::scan::{StringLocation, StringPattern};
use airlock_types::failure::Failure;
use airlock_types::wit;

/// The members of a body that contain a conversation, in the dialects of OpenAI and Anthropic. A data URL elsewhere, in a
/// schema or in metadata, is plain text of the client.
const ROOTS: [&str; 3] = ["messages", "input", "items"];

/// The member of a conversation's items that holds the client's own data: the arguments of a call in Anthropic's Messages.
const DATA: &str = "input";

/// The strings that are lifted: data URLs, and the base64 of Anthropic's sources.
const LIFTED: [StringPattern<'_>; 4] = [
    url_of("url"),
    url_of("image_url"),
    url_of("file_data"),
    StringPattern {
        key: "data",
        parent: Some(SOURCE),
        prefix: "",
    },
];

/// The scheme of data URLs.
const SCHEME: &str = "data:";

/// How a policy names an attachment, before its number.
const LIFTED_SCHEME: &str = "attachment:";

/// The strings that are restored: the images of the Responses API, whose items are stored.
const RESTORED: [StringPattern<'_>; 1] = [StringPattern {
    key: "image_url",
    parent: None,
    prefix: LIFTED_SCHEME,
}];

/// How many times all attachments may be restored in one request. Its own items and their copy in a WebSocket need two.
const RESTORES: usize = 4;

/// The most attachments of a request.
const ATTACHMENTS: usize = 256;

/// The member of a content block that holds an image, in Anthropic's Messages.
const SOURCE: &str = "source";

const fn url_of(key: &str) -> StringPattern<'_> {
    StringPattern {
        key,
        parent: None,
        prefix: SCHEME,
    }
}

/// The attachments of one body. The policy receives their descriptions, while the host stores them.
#[derive(Default)]
pub struct Attachments {
    list: Vec<Attachment>,
    /// Bytes that were restored.
    restored: usize,
}

struct Attachment {
    /// The data URL, shared with the thread that decodes it.
    url: Arc<String>,
    /// Why models cannot see it. None: they can, or it has not been checked yet.
    fault: Option<ImageError>,
    media_type: String,
    /// The number of decoded bytes.
    size: u64,
    /// SHA-256 of the URL.
    digest: String,
    path: String,
}

impl Attachments {
    /// Lifts up to 256 attachments out of a JSON body: the base64 data URLs that are values of `url`, `image_url` and
    /// `file_data` within the conversation, and the images in base64 that are the `data` of a `source`. The arguments of calls
    /// are left alone. Each attachment is replaced by `attachment:N`; everything else is unchanged, byte for byte.
    ///
    /// A body that is not JSON is returned unchanged, as the policy reports what is wrong with it. A data URL that is not
    /// base64 stays in the body.
    pub fn lift(body: String) -> (String, Self) {
        let has = |text: &str| memchr::memmem::find(body.as_bytes(), text.as_bytes()).is_some();
        if !(has(SCHEME) || has(SOURCE)) {
            return (body, Self::default());
        }
        let Some(locations) = scan::strings(&body, &ROOTS, DATA, &LIFTED) else {
            return (body, Self::default());
        };
        let mut lifted = Vec::new();
        let mut rest = String::new();
        let mut done = 0;
        for StringLocation { span, path } in locations {
            let Some(attachment) = Attachment::parse(&body[span.clone()], path) else {
                continue;
            };
            rest.push_str(&body[done..span.start]);
            rest.push_str(&format!("\"attachment:{}\"", lifted.len()));
            done = span.end;
            lifted.push(attachment);
        }
        rest.push_str(&body[done..]);
        let list = lifted;
        (rest, Self { list, restored: 0 })
    }

    /// Lifts further attachments out of an item of a conversation, JSON that stood in the body of an earlier request, as
    /// [`Attachments::lift`] does. The paths of these begin with `path` in place of the item's. There are at most 256 of all.
    pub fn lift_item(&mut self, item: String, path: &str) -> String {
        if memchr::memmem::find(item.as_bytes(), SCHEME.as_bytes()).is_none() {
            return item;
        }
        self.replace(&item, &LIFTED, |lifted, string, own_path| {
            if lifted.list.len() >= ATTACHMENTS {
                return None;
            }
            let number = lifted.list.len();
            lifted
                .list
                .push(Attachment::parse(string, format!("{path}{own_path}"))?);
            Some(format!("\"attachment:{number}\""))
        })
        .unwrap_or(item)
    }

    /// Puts the data URLs of attachments back into JSON that a policy has made of lifted text, in place of each
    /// `attachment:N` that is the value of `image_url`.
    ///
    /// # Errors
    /// The text refers to attachments again and again, so that it would grow without bound.
    pub fn restore(&mut self, text: String) -> Result<String, Failure> {
        if self.list.is_empty()
            || memchr::memmem::find(text.as_bytes(), LIFTED_SCHEME.as_bytes()).is_none()
        {
            return Ok(text);
        }
        let most = self.bytes().saturating_mul(RESTORES);
        let restored = self.replace(&text, &RESTORED, |lifted, string, _| {
            let text: String = serde_json::from_str(string).ok()?;
            let number = text.strip_prefix(LIFTED_SCHEME)?.parse().ok()?;
            let bytes = lifted.url(number)?.len();
            lifted.restored = lifted.restored.saturating_add(bytes);
            if lifted.restored > most {
                return None;
            }
            serde_json::to_string(lifted.url(number)?).ok()
        });
        if self.restored > most {
            let message =
                "The items refer to images again and again. Send each image where it is shown.";
            let code = "too_many_attachments";
            return Err(Failure::new(
                wit::ProblemKind::InvalidRequest,
                code,
                message,
            ));
        }
        Ok(restored.unwrap_or(text))
    }

    /// Replaces the strings of these patterns in the JSON of an item, each by what `with` returns for the string and its path
    /// within the item. None: the text is not JSON, or nothing is replaced.
    fn replace(
        &mut self,
        item: &str,
        patterns: &[StringPattern<'_>],
        mut with: impl FnMut(&mut Self, &str, &str) -> Option<String>,
    ) -> Option<String> {
        // As the first item of a conversation.
        let (before, after) = ("{\"input\":[", "]}");
        let body = [before, item, after].concat();
        let mut replaced = String::new();
        let mut done = before.len();
        for StringLocation { span, path } in scan::strings(&body, &ROOTS, DATA, patterns)? {
            let own_path = path.strip_prefix("input[0]").unwrap_or_default();
            let Some(string) = with(self, &body[span.clone()], own_path) else {
                continue;
            };
            replaced.push_str(&body[done..span.start]);
            replaced.push_str(&string);
            done = span.end;
        }
        if done == before.len() {
            return None;
        }
        replaced.push_str(&body[done..body.len() - after.len()]);
        Some(replaced)
    }

    /// The descriptions of all attachments, for the policy.
    pub fn descriptions(&self) -> Vec<wit::Attachment> {
        let descriptions = self.list.iter().map(|attachment| wit::Attachment {
            media_type: attachment.media_type.clone(),
            size: attachment.size,
            digest: attachment.digest.clone(),
            path: attachment.path.clone(),
        });
        descriptions.collect()
    }

    /// The data URL of an attachment. None: there is no such attachment.
    pub fn url(&self, number: u32) -> Option<&str> {
        self.get(number).map(|attachment| attachment.url.as_str())
    }

    /// The bytes of all attachments, as data URLs.
    pub fn bytes(&self) -> usize {
        self.list
            .iter()
            .map(|attachment| attachment.url.len())
            .sum()
    }

    /// The path of an attachment in the body, such as `messages[0].content[1].image_url.url`. None: there is no such
    /// attachment.
    pub fn path(&self, number: u32) -> Option<&str> {
        self.get(number).map(|attachment| attachment.path.as_str())
    }

    /// Refuses an attachment that models cannot see whole, and names its field. An attachment that was not checked passes.
    ///
    /// # Errors
    /// The attachment is not an image, or its recorded check failed.
    pub fn expect_image(&self, number: u32) -> Result<(), Failure> {
        match self.get(number) {
            Some(Attachment {
                fault: Some(fault),
                path,
                ..
            }) => Err(fault.at(path)),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses the first attachment that models cannot see whole, as [`Attachments::expect_image`] does.
    ///
    /// # Errors
    /// As of [`Attachments::expect_image`].
    pub fn expect_images(&self) -> Result<(), Failure> {
        let faults = self.list.iter().filter_map(|attachment| {
            let fault = attachment.fault.as_ref()?;
            Some(fault.at(&attachment.path))
        });
        faults.into_iter().next().map_or(Ok(()), Err)
    }

    /// The images, which must be decoded to check whether models can see them. Marks all other attachments as no image.
    pub fn images(&mut self) -> Vec<Image> {
        let mut images = Vec::new();
        for (number, attachment) in self.list.iter_mut().enumerate() {
            if attachment.is_image() {
                images.push(Image {
                    number,
                    url: attachment.url.clone(),
                    digest: attachment.digest.clone(),
                });
            } else {
                attachment.fault = Some(ImageError::Format);
            }
        }
        images
    }

    /// Records the result of an image's check.
    pub fn record_check(&mut self, checked: &ImageCheck) {
        if let Some(attachment) = self.list.get_mut(checked.number) {
            attachment.fault = checked.fault;
        }
    }

    fn get(&self, number: u32) -> Option<&Attachment> {
        self.list.get(usize::try_from(number).ok()?)
    }
}

/// An image to decode on another thread.
pub struct Image {
    number: usize,
    url: Arc<String>,
    /// The attachment's digest.
    pub digest: String,
}

/// The result of decoding an image.
pub struct ImageCheck {
    number: usize,
    fault: Option<ImageError>,
}

impl Image {
    /// Decodes the image, which may take a second and 256 MiB of memory.
    pub fn check(&self) -> ImageCheck {
        ImageCheck {
            number: self.number,
            fault: images::check(&self.url).err(),
        }
    }
}

impl ImageCheck {
    /// Whether models can see the image.
    pub fn is_good(&self) -> bool {
        self.fault.is_none()
    }
}

/// Omits the bytes, which are the client's and must not be logged.
impl fmt::Debug for Attachments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.list
                    .iter()
                    .map(|attachment| (&attachment.media_type, attachment.size)),
            )
            .finish()
    }
}
