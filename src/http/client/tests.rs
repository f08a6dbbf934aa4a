use super::*;
use crate::ErrorKind;
use crate::http::Bearer;

fn builder() -> Builder {
    Client::builder("https://api.example")
}

#[test]
fn values_that_cannot_be_used_are_refused() {
    for (name, builder) in [
        ("base", Client::builder("api.example")),
        ("concurrency", builder().concurrency(0)),
        ("concurrency", builder().concurrency(usize::MAX)),
        ("budget", builder().budget(0)),
        ("budget", builder().budget(101)),
        ("per minute", builder().per_minute(0)),
        ("proxy", builder().proxy("http://")),
        ("proxy", builder().proxy("http://u:hunter2@proxy.example")),
        ("proxy", builder().proxy("http:/u:hunter2@proxy.example")),
        ("proxy", builder().proxy("HTTP:\\\\u:hunter2@proxy.example")),
        ("proxy", builder().proxy("u:hunter2@proxy.example")),
        ("proxy", builder().proxy("http://proxy.example/?x")),
        ("certificate", builder().certificate_authority(b"no certificate")),
        ("header", builder().header("a b", "c")),
        ("header", builder().header("a", "b\r\nc")),
        ("header", builder().header("Authorization", "Bearer x")),
    ] {
        let error = builder.build().map(|_| ()).expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
    }
}

#[test]
fn credentials_travel_over_plain_http_to_this_machine_only() {
    let token = || Arc::new(Bearer::new(&"hunter2hunter2".into()));
    for url in [
        "http://api.example",
        "http://10.0.0.1",
        "http://[2001:db8::1]",
        "HTTP://api.example",
        "http://localhost.example",
        "http://169.254.169.254",
    ] {
        for builder in [
            Client::builder(url).authorization(token()),
            Client::builder(url).header("X-Api-Key", "hunter2hunter2"),
            Client::builder(url).header("PRIVATE-TOKEN", "hunter2hunter2"),
            Client::builder(url).header("Cookie", "session=hunter2hunter2"),
        ] {
            let error = builder.build().map(|_| ()).expect_err(url);
            assert!(error.message().contains("plain http"), "{url}: {error}");
        }
        Client::builder(url).build().expect("it is anonymous");
    }
    for url in ["https://api.example", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]", "http://localhost"] {
        Client::builder(url).authorization(token()).build().expect(url);
    }
    let through = |proxy: &str| Client::builder("http://127.0.0.1:1").authorization(token()).proxy(proxy).build();
    assert!(through("http://proxy.example:3128").is_err(), "the proxy would see the token");
    assert!(through("http://127.0.0.1:3128").is_ok());
}

#[test]
fn debug_shows_no_secret() {
    let builder = Client::builder("https://u:hunter2@api.example")
        .header("x-key", "hunter2")
        .proxy("http://u:hunter2@proxy.example")
        .authorization(Arc::new(Bearer::new(&"hunter2".into())));
    assert!(!format!("{builder:?}").contains("hunter2"), "{builder:?}");
    let client = Builder { base_url: "https://api.example".to_owned(), proxy: None, ..builder }.build().unwrap();
    assert!(!format!("{client:?}").contains("hunter2"), "{client:?}");
}
