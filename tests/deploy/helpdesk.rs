//! The API that the recipes read: the helpdesk of `examples/helpdesk.toml`.

use serde_json::json;
use snowfeed::testkit::mock_api::{MockApi, MockList, Paging};

/// The token that it requires.
pub(crate) const TOKEN: &str = "secret-token-1";

/// The tickets of its workspace `acme`.
pub(crate) const TICKETS: u64 = 45;

/// A helpdesk on loopback.
pub(crate) struct Helpdesk {
    pub(crate) api: MockApi,
    tickets: MockList,
}

impl Helpdesk {
    pub(crate) fn start() -> Self {
        let api = MockApi::start();
        api.require_bearer(TOKEN);
        api.list("/workspaces").records_at("/workspaces").insert(json!({"id": "acme", "plan": "pro"}));
        let tickets = api.list("/tickets").filter("workspace", "workspace").since("updated_since", "updated_at");
        let tickets = tickets.sort_by("updated_at").paging(Paging::cursor("cursor", "/next_cursor").size(20)).lookup();
        let paging = Paging::cursor("cursor", "/next_cursor").size(3);
        let comments = api.child_list("/tickets/{ticket}/comments", &tickets).records_at("/comments").paging(paging);
        let helpdesk = Self { api, tickets };
        for id in 1..=TICKETS {
            helpdesk.open(id);
            comments.of(id).insert(json!({"id": id, "text": "A note"}));
        }
        helpdesk
    }

    /// Opens a ticket.
    pub(crate) fn open(&self, id: u64) {
        let at = format!("2024-01-01T00:{:02}:{:02}Z", id / 60, id % 60);
        self.tickets
            .insert(json!({"id": id, "workspace": "acme", "subject": format!("Ticket {id}"), "updated_at": at}));
    }
}
