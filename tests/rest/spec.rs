//! The specification that follows from a description.

use serde_json::json;
use snowfeed::rest::{Api, Auth, Deleted, Order, Paginate, ParentOf, RestSource, Setting, Since, Stream, StreamType};
use snowfeed::{Append, Listing, Revisit, Source, SourceSpec, StreamKind, StreamSpec};

fn api() -> Api {
    Api::new("helpdesk", "https://{site}.example.com/v1").auth(Auth::basic("{email}/token", "{token}"))
}

fn spec(api: Api) -> SourceSpec {
    RestSource::new(api).unwrap().spec()
}

fn stream(stream: Stream) -> StreamSpec {
    spec(api().stream(stream)).streams.remove(0)
}

#[test]
fn placeholders_are_settings_and_those_of_auth_are_secrets() {
    let spec = spec(
        api()
            .setting("site", Setting::new("the first part of the address").default("acme"))
            .header("X-Team", "{team}")
            .stream(Stream::new("tickets", "/tickets?since={since}")),
    );
    assert_eq!(spec.settings.names().collect::<Vec<_>>(), ["email", "site", "team", "token"]);
    assert_eq!(
        ["email", "site", "team", "token"].map(|name| spec.settings.is_secret(name)),
        [true, false, false, true]
    );
    assert_eq!(spec.settings.property("site").unwrap()["default"], "acme");
    assert_eq!(spec.settings.property("site").unwrap()["description"], "the first part of the address");
    let missing = spec.settings.configure([("team".to_owned(), json!("red"))]).unwrap_err();
    assert_eq!(missing.message(), "the setting `email` is missing");
}

#[test]
fn rule_13_hosts_are_those_of_the_urls_and_a_setting_may_stand_in_them() {
    let tickets = || Stream::new("tickets", "/tickets");
    let hosts = |url: &str| spec(Api::new("a", url).stream(tickets())).hosts;
    assert_eq!(hosts("https://{site}.example.com/v1/{version}"), ["{site}.example.com"]);
    assert_eq!(hosts("https://{site}.example.com:8443"), ["{site}.example.com:8443"]);
    assert_eq!(hosts("http://{host}/v1"), ["{host}:80"]);
    assert_eq!(hosts("https://api.example.com/{team}"), ["api.example.com"]);
    let oauth2 = r#"
name = "a"
base_url = "https://api.example.com"
auth = { oauth2 = { token_url = "https://login.{tenant}.example/token", client_id = "{id}", client_secret = "{secret}" } }
[[stream]]
name = "tickets"
path = "/tickets"
"#;
    assert_eq!(spec(Api::from_toml(oauth2, "a.toml").unwrap()).hosts, ["api.example.com", "login.{tenant}.example"]);
    assert_eq!(spec(Api::new("a", "https://api.example.com/v1").stream(tickets())).hosts, ["api.example.com"]);
    assert_eq!(spec(Api::new("a", "https://api.example.com:8443").stream(tickets())).hosts, ["api.example.com:8443"]);
    let by_setting = spec(Api::new("a", "{url}/v1").stream(tickets()));
    assert!(by_setting.hosts.is_empty() && by_setting.settings.is_url("url"));
    assert!(RestSource::new(Api::new("a", "api.example.com").stream(tickets())).is_err());
}

#[test]
fn a_setting_in_a_host_is_a_part_of_its_name() {
    let settings = spec(api().stream(Stream::new("tickets", "/tickets"))).settings;
    assert_eq!(settings.property("site").unwrap()["format"], "hostname");
    let configure = |site: &str| {
        let given = [("site", site), ("email", "env:EMAIL"), ("token", "env:TOKEN")];
        settings.configure(given.map(|(name, value)| (name.to_owned(), json!(value))))
    };
    for site in ["acme", "acme-1.eu", "a_b"] {
        configure(site).unwrap();
    }
    for site in ["evil.example/", "a@b", "a:1", "a..b", ".a", "a.", "a b", ""] {
        assert!(configure(site).unwrap_err().message().contains("`site`"), "{site}");
    }
}

#[test]
fn kinds_follow_from_what_a_stream_says() {
    let tickets = || Stream::new("tickets", "/tickets");
    for (described, kind) in [
        (tickets(), StreamKind::Snapshot),
        (tickets().version("/updated_at").order(Order::Version), StreamKind::Snapshot),
        (tickets().cursor("since"), StreamKind::Incremental),
        (tickets().query("q", "updated>{since}"), StreamKind::Incremental),
        (tickets().body(json!({"filter": [{"gte": "{since}"}]})), StreamKind::Incremental),
        (tickets().version("/updated_at").order(Order::VersionDescending), StreamKind::Incremental),
    ] {
        assert_eq!(stream(described.clone()).kind, kind, "{described:?}");
    }
    let append = stream(
        tickets()
            .kind(StreamType::Append)
            .order(Order::KeyDescending)
            .cursor("since")
            .since(Since::new().at("/created")),
    );
    assert!(matches!(append.kind, StreamKind::Append(Append { overlap: 1_000_000, .. })), "{:?}", append.kind);
}

#[test]
fn children_know_the_fields_of_their_parents() {
    let parents = |tickets: Stream| {
        spec(
            api()
                .stream(tickets)
                .stream(
                    Stream::new("comments", "/tickets/{parent.id}/comments?by={parent.user.name}")
                        .parent(ParentOf::stream("tickets").when("/counts/comments"))
                        .optional(),
                )
                .stream(Stream::new("gone", "/deleted").deletes("tickets")),
        )
        .streams
    };
    let streams = parents(Stream::new("tickets", "/tickets").cursor("since").version("/updated_at"));
    let child = streams[1].child_of().unwrap();
    let paths: Vec<String> = child.fields.iter().map(ToString::to_string).collect();
    assert_eq!(
        (child.parent.as_str(), paths.as_slice()),
        ("tickets", ["id", "user.name", "counts.comments"].map(String::from).as_slice())
    );
    assert_eq!(child.revisit, Revisit::WhenChanged);
    assert!(!streams[1].is_default);
    assert_eq!(streams[2].kind, StreamKind::DeletionsOf("tickets".into()));
    let without_version = parents(Stream::new("tickets", "/tickets"));
    assert_eq!(without_version[1].child_of().unwrap().revisit, Revisit::EveryRun);
}

#[test]
fn streams_without_the_resource_are_read_once_for_the_source() {
    let described = || {
        api()
            .resource("workspaces", "/id")
            .stream(Stream::new("workspaces", "/workspaces").optional())
            .stream(Stream::new("tickets", "/{resource}/tickets").deleted(Deleted::at("/gone")))
            .stream(Stream::new("comments", "/tickets/{parent.id}/comments").parent("tickets"))
            .stream(Stream::new("gone", "/deleted").deletes("tickets"))
            .stream(Stream::new("users", "/users"))
            .stream(Stream::new("groups", "/users/{parent.id}/groups").parent("users"))
    };
    let spec = spec(described());
    assert_eq!(spec.resource_kind, "workspace");
    let wide: Vec<&str> = spec.streams.iter().filter(|stream| stream.is_source_wide).map(|s| s.name.as_str()).collect();
    assert_eq!(wide, ["workspaces", "users", "groups"]);
}

#[test]
fn lists_and_records_promise_what_their_description_shows() {
    let tickets = || Stream::new("tickets", "/tickets");
    assert_eq!(stream(tickets().paginate(Paginate::last("/id", "after"))).listing, Listing::Exact);
    assert_eq!(stream(tickets().paginate(Paginate::page("page"))).listing, Listing::MayDrift);
    assert!(stream(tickets().get("/tickets/{key}")).is_verifiable);
}

#[test]
fn a_source_without_a_list_of_resources_has_one_that_is_named_like_it() {
    let source = RestSource::new(api().stream(Stream::new("tickets", "/tickets"))).unwrap();
    assert_eq!(source.resource(&Default::default(), "helpdesk").unwrap().name(), "helpdesk");
    let error = source.resource(&Default::default(), "acme").unwrap_err();
    assert_eq!(error.help(), Some("write `helpdesk`, its only resource"));
}

#[test]
fn what_cannot_be_declared_is_an_error_and_no_panic() {
    let tickets = || Stream::new("tickets", "/tickets");
    for described in [
        api(),
        api().stream(Stream::new("Tickets", "/")),
        api().stream(tickets()).stream(tickets()),
        api().stream(tickets().optional()),
        api().stream(tickets().parent("users")),
        api().stream(tickets().deletes("tickets")),
        api().stream(tickets().key("id")),
        api().stream(tickets().query("q", "{parent}")),
        api().stream(tickets()).stream(Stream::new("c", "/").parent(ParentOf::stream("tickets").when("/a//b"))),
        api().stream(Stream::new("rejected_record", "/")),
    ] {
        let error = RestSource::new(described).unwrap_err();
        assert_eq!(error.kind(), snowfeed::ErrorKind::Configuration);
        assert!(error.help().is_some(), "{error}");
    }
}

#[test]
fn columns_are_inferred_beside_those_that_are_declared() {
    let spec = stream(Stream::new("contacts", "/contacts").spread("/properties").column("owner", "/owner/na.me"));
    assert_eq!(
        spec,
        StreamSpec::snapshot("contacts")
            .infer_column("owner", "owner.\"na.me\"")
            .infer_columns_below("properties")
            .infer_columns()
    );
}
