//! The client's tools and their results, in Codex's format.

use super::{AttachmentExpansion, raw, verbatim};
use crate::protocol::{ContentItem, DynamicTool, ToolCallResponse};
use crate::turn::EncodedToolResult;
use airlock_attachments::Attachments;
use airlock_types::failure::Failure;
use airlock_types::wit::{InputItem, Tool, ToolResult};

/// The tools of a thread. The policy has checked the schemas.
pub(super) fn specs(tools: Vec<Tool>) -> Result<Vec<DynamicTool>, Failure> {
    let spec = |tool: Tool| {
        Ok(DynamicTool {
            name: tool.name,
            description: tool.description,
            input_schema: verbatim(tool.parameters)?,
            param: tool.param,
        })
    };
    tools.into_iter().map(spec).collect()
}

/// The results of calls, encoded for a parked turn.
pub(super) fn tool_results(
    results: &[ToolResult],
    attachments: &Attachments,
) -> Result<Vec<EncodedToolResult>, Failure> {
    let mut expansion = AttachmentExpansion::of(attachments);
    let mut answer = |result: &ToolResult| {
        let items = result.output.iter().map(|item| match item {
            InputItem::Text(text) => Ok(ContentItem::InputText { text }),
            InputItem::Attachment(number) => {
                let url = expansion.url(*number);
                url.map(|image_url| ContentItem::InputImage { image_url })
            }
        });
        let response = ToolCallResponse {
            content_items: items.collect::<Result<_, Failure>>()?,
            success: true,
        };
        Ok(EncodedToolResult {
            call: result.call.clone(),
            result: raw(&response)?,
        })
    };
    results.iter().map(&mut answer).collect()
}
