//! The options of an operator: the kind and retention of tables, and the warehouse of loads.

use std::time::Duration;

use snowfeed::backends::Snowflake;
use snowfeed::backends::snowflake::SnowflakeOptions;
use snowfeed::internals::snowflake::{Client, HttpClient, QueryResult, Sql, Statement};
use snowfeed::{
    ConfigStore, ErrorKind, Namespace, Record, RunQuery, Sink, StateStore, StateVersion, StreamCommit, StreamSpec,
    Version,
};

use crate::peers;
use crate::probes::snowflake::{connection, fresh_database};
use crate::support::{change, commit, commit_of, key, resource};

/// A database, in an account whose warehouse `STOPPED` runs nothing.
struct Account {
    database: String,
    server: &'static peers::Server,
}

impl Account {
    fn new() -> Self {
        let server = peers::next_fakesnow().expect("python3, which the Snowflake server of the tests needs");
        Self { database: fresh_database(), server }
    }

    fn backend(&self, warehouse: &str, options: SnowflakeOptions) -> Snowflake {
        let connection = connection(self.server).database(&self.database).schema("PUBLIC").warehouse(warehouse);
        Snowflake::builder(connection).options(options).build().unwrap()
    }

    async fn execute(&self, sql: &str) -> QueryResult {
        let client = HttpClient::new(connection(self.server).database(&self.database)).unwrap();
        let statement = Statement::new(Sql::assert_safe(sql.replace("{db}", &self.database)));
        client.open().await.unwrap().execute(statement).await.unwrap()
    }

    /// The kind and the retention of each raw table.
    async fn raw_tables(&self) -> Vec<[String; 3]> {
        let shown = self.execute("SHOW TABLES IN SCHEMA \"{db}\".\"PUBLIC_RAW\"").await;
        let column = |name: &str| shown.columns.iter().position(|column| column == name).unwrap();
        let columns = ["name", "kind", "retention_time"].map(column);
        shown.rows.iter().map(|row| columns.map(|column| row.text(column).unwrap().to_string())).collect()
    }
}

fn issues() -> [StreamSpec; 1] {
    [StreamSpec::new("issues")]
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_tables_are_as_the_options_say_when_they_are_created() {
    let account = Account::new();
    let plain = account.backend("COMPUTE_WH", SnowflakeOptions::default());
    plain.ensure_streams(&resource("a"), &issues()).await.unwrap();
    let week = account.backend("COMPUTE_WH", SnowflakeOptions::default().retention_days(7));
    week.ensure_streams(&resource("b"), &issues()).await.unwrap();
    let options = SnowflakeOptions::default().transient(true).retention_days(0);
    let transient = account.backend("COMPUTE_WH", options);
    for name in ["a", "b", "c"] {
        transient.ensure_streams(&resource(name), &issues()).await.unwrap();
    }
    let expected = [["a", "TABLE", "1"], ["b", "TABLE", "7"], ["c", "TRANSIENT", "0"]];
    assert_eq!(account.raw_tables().await, expected.map(|row| row.map(str::to_owned)));
    transient.commit(commit(&resource("c"), "issues", vec![Record::upsert("1", Version(1), "{}")])).await.unwrap();

    let findings = transient.check().await;
    let found = findings.iter().find(|found| found.name == "raw tables").unwrap().result.as_ref().unwrap();
    assert!(found.contains("\"PUBLIC_RAW\"; 2 of them permanent, as they were created; 2 of them"), "{found}");
    let table =
        format!("ALTER TABLE \"{}\".\"PUBLIC_RAW\".\"a\" SET DATA_RETENTION_TIME_IN_DAYS = 0", account.database);
    assert!(found.ends_with(&table), "{found}");
    account.execute(&table).await;
    account.execute(&table.replace("\"a\"", "\"b\"")).await;
    let findings = transient.check().await;
    let found = findings.iter().find(|found| found.name == "raw tables").unwrap().result.as_ref().unwrap();
    assert!(found.ends_with("2 of them permanent, as they were created"), "{found}");
    assert!(plain.check().await.iter().all(|found| found.name != "raw tables"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retention_that_the_edition_does_not_allow_is_refused_with_help() {
    let account = Account::new();
    let user = format!("standard_{}", account.database);
    let url = format!("{}/tests/parameters?user={user}&MAX_RETENTION_DAYS=1", account.server.url());
    reqwest::Client::builder().no_proxy().build().unwrap().post(url).send().await.unwrap();
    let mut connection = connection(account.server).database(&account.database);
    connection.user = user;
    let options = SnowflakeOptions::default().retention_days(7);
    let standard = Snowflake::builder(connection).options(options).build().unwrap();
    let error = standard.ensure_streams(&resource("a"), &issues()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("does not keep 7 days of Time Travel"), "{error}");
    assert!(error.help().unwrap().contains("`retention_days`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_use_their_own_warehouse_and_reads_the_connections() {
    let account = Account::new();
    let a = resource("a");
    let part = || {
        let part = StreamCommit::new("issues", snowfeed::RunId::new()).records([Record::upsert("1", Version(1), "{}")]);
        commit_of(&a, part.change(change(&a, StateVersion::NONE)))
    };
    // Nothing that reads can run.
    let loading = account.backend("STOPPED", SnowflakeOptions::default().load_warehouse("compute_wh"));
    loading.ensure_streams(&a, &issues()).await.unwrap();
    loading.commit(part()).await.unwrap();
    loading.prune(&key("a"), 1).await.unwrap();
    loading.append(change(&a, StateVersion(1))).await.unwrap();
    loading.sequences(&a).await.unwrap();
    for refused in [
        loading.latest(&key("a")).await.map(drop),
        loading.preview(&a, "issues", 1).await.map(drop),
        loading.snapshot().await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), Some("000606"));
    }
    // Nothing that loads can run.
    let reading = account.backend("COMPUTE_WH", SnowflakeOptions::default().load_warehouse("STOPPED"));
    reading.latest(&key("a")).await.unwrap().unwrap();
    reading.runs(RunQuery::new(1)).await.unwrap();
    reading.list(Namespace::Resource).await.unwrap();
    assert_eq!(reading.preview(&a, "issues", 9).await.unwrap().rows.len(), 1);
    let refused = reading.commit(commit(&a, "issues", vec![Record::upsert("2", Version(1), "{}")])).await.unwrap_err();
    assert_eq!(refused.code(), Some("000606"));
    assert!(refused.help().unwrap().contains("--load-warehouse"), "{refused}");
    assert_eq!(reading.preview(&a, "issues", 9).await.unwrap().rows.len(), 1);

    let finding = |findings: Vec<snowfeed::backends::snowflake::Finding>| {
        findings.into_iter().find(|found| found.name == "load warehouse").unwrap().result
    };
    assert_eq!(finding(loading.check().await).unwrap(), "\"COMPUTE_WH\"");
    assert!(finding(reading.check().await).unwrap_err().to_string().contains("\"STOPPED\" is suspended"));
    let absent = account.backend("COMPUTE_WH", SnowflakeOptions::default().load_warehouse("absent"));
    let error = finding(absent.check().await).unwrap_err();
    assert!(error.to_string().contains("the warehouse \"ABSENT\" does not exist"), "{error}");
    // Usage covers both kinds of sessions.
    let usage = loading.usage();
    assert!(usage.logins == 2 && usage.statements > 10, "{usage:?}");
    loading.close().await.unwrap();
}

#[tokio::test]
async fn options_out_of_range_are_refused_before_anything_is_sent() {
    let connection = connection(peers::next_fakesnow().unwrap()).database("DB");
    let builder = Snowflake::builder(connection.clone()).options(SnowflakeOptions::default().retention_days(91));
    let error = builder.build().unwrap_err();
    assert!(error.to_string().contains("retention_days is 91"), "{error}");
    let options = SnowflakeOptions::default().commit_seconds(600);
    let limits = Snowflake::builder(connection).options(options).build().unwrap().limits();
    assert_eq!(limits.commit_after, Duration::from_secs(600));
}
