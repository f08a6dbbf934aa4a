//! A helpdesk: workspaces, their tickets, and the comments of each ticket. `helpdesk.toml` beside it is the same description as a file, for
//! the program `snowfeed`.
//!
//! ```sh
//! cargo run --example helpdesk -- check --set url=https://api.example.com --set token=env:HELPDESK_TOKEN
//! ```

use snowfeed::rest::{Api, Auth, Order, Paginate, RestSource, Stream};

pub(crate) fn helpdesk() -> Api {
    let workspaces = Stream::new("workspaces", "/workspaces").records("/workspaces").optional();
    let tickets = Stream::new("tickets", "/tickets?workspace={resource}&limit=100")
        .records("/data")
        .version("/updated_at")
        .cursor("updated_since")
        .order(Order::Version)
        .get("/tickets/{key}");
    let comments = Stream::new("comments", "/tickets/{parent.id}/comments").parent("tickets").records("/comments");
    Api::new("helpdesk", "{url}")
        .auth(Auth::bearer("{token}"))
        .resource("workspaces", "/id")
        .paginate(Paginate::token("/next_cursor", "cursor"))
        .stream(workspaces)
        .stream(tickets)
        .stream(comments)
}

#[tokio::main]
async fn main() -> snowfeed::Result<std::process::ExitCode> {
    Ok(snowfeed::cli::run(RestSource::new(helpdesk())?).await)
}
