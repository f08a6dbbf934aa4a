//! Settings, from every origin.

use github_server::GithubServer;

use super::support::Program;

/// The effective value of a setting, and its origin.
async fn effective(program: &Program, args: &[&str], name: &str) -> (String, String) {
    let document = program.json(&[&["configure"], args].concat()).await;
    let settings = document["settings"].as_array().unwrap();
    let setting = settings.iter().find(|setting| setting["name"] == name).unwrap();
    (setting["value"].to_string(), setting["from"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_follow_their_precedence() {
    let program = Program::new("github_issues").variable("GITHUB_CONCURRENCY", "4");
    let expect = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    assert_eq!(effective(&program, &[], "page_size").await, expect("100", "default"));
    program.run(&["configure", "page_size=50", "concurrency=2"]).await.expect(0);
    assert_eq!(effective(&program, &[], "page_size").await, expect("50", "the database"));
    std::fs::write(program.folder().join("github.toml"), "page_size = 60\nconcurrency = 3\n").unwrap();
    assert_eq!(effective(&program, &[], "page_size").await, expect("50", "the database"));
    let file = ["--config", "github.toml"];
    assert_eq!(effective(&program, &file, "page_size").await, expect("60", "the file github.toml"));
    let variable = "the environment variable GITHUB_CONCURRENCY";
    assert_eq!(effective(&program, &file, "concurrency").await, expect("4", variable));
    assert_eq!(effective(&program, &["--set", "concurrency=5"], "concurrency").await, expect("5", "--set"));
    std::fs::write(program.folder().join("other.toml"), "page_size = 70\n").unwrap();
    assert_eq!(effective(&program, &["--config", "other.toml"], "page_size").await.0, "70");
}

#[tokio::test(flavor = "multi_thread")]
async fn configure_without_a_value_removes() {
    let program = Program::new("github_issues");
    program.run(&["configure", "page_size=50"]).await.expect(0);
    let removed = program.run(&["configure", "page_size="]).await.expect(0);
    assert_eq!(removed.stdout, "removed page_size\n");
    assert_eq!(effective(&program, &[], "page_size").await.1, "default");
}

#[tokio::test(flavor = "multi_thread")]
async fn configure_does_not_store_the_environment() {
    let program = Program::new("github_issues").variable("GITHUB_TOKEN", "hush");
    program.run(&["configure", "page_size=50"]).await.expect(0);
    let elsewhere = program.command(&["--json", "configure"]).env_remove("GITHUB_TOKEN").output().await.unwrap();
    assert!(!String::from_utf8(elsewhere.stdout).unwrap().contains("GITHUB_TOKEN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_or_malformed_settings_are_named_before_any_request() {
    let upstream = GithubServer::builder().repository("acme/gears", 3).start().await.unwrap();
    let program = Program::github(upstream.url()).variable("GITHUB_RETRIES", "often");
    let ended = program.run(&["ingest", "acme/gears"]).await.expect(4);
    let expected = "error: the setting `retries` is malformed: it is not a whole number \
                (given by: the environment variable GITHUB_RETRIES)";
    assert!(ended.stderr.contains(expected), "{}", ended.stderr);

    let program = Program::github(upstream.url());
    for (set, expected) in [
        ("pagesize=5", "did you mean `page_size`?"),
        ("page_size=five", "`page_size` is malformed"),
        ("page_size=0", "`page_size` is out of range"),
        ("token=ghp_literal", "by reference"),
        ("api_url=https://github.com", "api.github.com"),
    ] {
        let ended = program.run(&["ingest", "acme/gears", "--set", set]).await.expect(4);
        assert!(ended.stderr.contains(expected) && !ended.stderr.contains("ghp_literal"), "{set}: {}", ended.stderr);
    }
    std::fs::write(program.folder().join("github.toml"), "page_sise = 5\n").unwrap();
    let ended = program.run(&["--config", "github.toml", "ingest", "acme/gears"]).await.expect(4);
    assert!(ended.stderr.contains("the file github.toml") && ended.stderr.contains("`page_size`"), "{}", ended.stderr);
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_settings_are_not_stored() {
    let program = Program::new("github_issues");
    for (setting, expected) in [
        ("tokne=env:X", "did you mean `token`?"),
        ("page_size=many", "not a whole number"),
        ("token=ghp_literal", "by reference"),
        ("ghp_literal", "KEY=VALUE"),
        ("page_size=1000", "out of range: 1000 is not from 1 to 100"),
        ("concurrency=0", "give a whole number from 1 to 100"),
        ("overlap_seconds=0", "from 1 to 86400"),
        ("requests_per_minute=0", "at least 1"),
        ("retries=21", "from 0 to 20"),
        ("api_url=https://github.com", "write `https://api.github.com`"),
        ("repositories=acme/a/b", "acme/a/b"),
        ("app_id=7", "only in part"),
    ] {
        let ended = program.run(&["configure", setting]).await.expect(4);
        assert!(
            ended.stderr.contains(expected) && !ended.stderr.contains("ghp_literal"),
            "{setting}: {}",
            ended.stderr
        );
    }
    assert!(!program.folder().join("github.db").exists());
}

/// A stored value may have been written by an older version, or by hand.
#[tokio::test(flavor = "multi_thread")]
async fn stored_values_are_validated_too() {
    let program = Program::new("github_issues");
    program.run(&["configure", "page_size=50"]).await.expect(0);
    let database = rusqlite::Connection::open(program.folder().join("github.db")).unwrap();
    database.execute("update APP_CONFIGURATION set VALUE = replace(VALUE, '50', '1000')", []).unwrap();
    let ended = program.run(&["ingest", "acme/gears"]).await.expect(4);
    assert!(ended.stderr.contains("`page_size` is out of range"), "{}", ended.stderr);
    program.run(&["configure", "page_size="]).await.expect(0);
}
