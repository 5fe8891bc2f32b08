//! The component's exports: each one hands over to the plain function that does the work.

use std::cell::RefCell;

use crate::bindings::airlock::policy::types::{Ending, Event, Model, Problem, Request};
use crate::bindings::exports::airlock::policy::translate::{
    Closing, Context, Frame, GuestReply, Reply as ReplyHandle,
};
use crate::bindings::exports::airlock::policy::{admit, prompt, translate};

/// What the shipped component exports.
#[derive(Debug)]
pub struct Shipped;

impl admit::Guest for Shipped {
    fn decide(load: admit::Load) -> admit::Admission {
        crate::admit::decide(load)
    }
}

impl prompt::Guest for Shipped {
    fn render(request: Request) -> Result<prompt::Plan, Problem> {
        crate::prompt::render(&request)
    }
}

impl translate::Guest for Shipped {
    type Reply = Reply;

    fn list_models(_dialect: String, models: Vec<Model>) -> String {
        crate::models::list(&models)
    }

    fn show_model(_dialect: String, model: Model) -> String {
        crate::models::show(&model)
    }
}

/// A reply behind the handle that the host holds. Exported methods take `&self`; a component runs one call at a
/// time, so the cell is never borrowed twice.
#[derive(Debug)]
pub struct Reply(RefCell<crate::translate::Reply>);

impl GuestReply for Reply {
    fn new(context: Context) -> Self {
        Self(RefCell::new(crate::translate::Reply::new(&context)))
    }

    fn feed(&self, events: Vec<Event>) -> Vec<Frame> {
        self.0.borrow_mut().feed(events)
    }

    fn finish(reply: ReplyHandle, ending: Ending) -> Closing {
        reply.into_inner::<Self>().0.into_inner().finish(ending)
    }
}
