//! The ways of doing the job, each measured by the process that does it.

use std::sync::Arc;
use std::time::Instant;

use snowfeed::backends::Snowflake;
use snowfeed::backends::snowflake::{ConnectionConfig, Credentials, Protocol};
use snowfeed::engine::{Connector, IngestRequest};
use snowfeed::internals::snowflake::stage::GzipLines;
use snowfeed::internals::snowflake::{Client, HttpClient, Sql, StagedFile, Statement};
use snowfeed::{Resource, RunStatus, Sink};

use super::measure::{peak, processor_time};
use super::records::{Records, Source};
use super::{Figures, Outcome};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Only makes the records.
    Make,
    /// By hand: files of 100 MB, one COPY, one MERGE.
    LowerBound,
    /// This crate, which stages while it reads.
    Stage,
    /// The same, into a database that another resource has.
    Existing,
    /// This crate, by bound values.
    Bind,
}

impl Way {
    pub(super) const ALL: [Self; 5] = [Self::Make, Self::LowerBound, Self::Stage, Self::Existing, Self::Bind];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Make => "make",
            Self::LowerBound => "lower-bound",
            Self::Stage => "stage",
            Self::Existing => "existing",
            Self::Bind => "bind",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Make => "the records are made, and dropped",
            Self::LowerBound => "lower bound: files of 100 MB, one COPY and one MERGE by hand",
            Self::Stage => "**snowfeed**, staged while it reads, into a new database",
            Self::Existing => "the same, into an existing database",
            Self::Bind => "snowfeed, by bound values",
        }
    }

    pub(super) fn named(name: &str) -> Outcome<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name).ok_or_else(|| format!("there is no way {name:?}").into())
    }
}

/// Does the job and prints the figures.
pub(super) fn measure(way: Way, rows: u32, port: u16) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if way == Way::Existing {
        runtime.block_on(create_database(port))?;
    }
    let (began, before) = (Instant::now(), processor_time());
    let figures = runtime.block_on(async {
        match way {
            Way::Make => make(rows),
            Way::LowerBound => by_hand(rows, port).await,
            Way::Stage | Way::Existing => ingest(rows, port, true).await,
            Way::Bind => ingest(rows, port, false).await,
        }
    })?;
    drop(runtime);
    let cpu = processor_time().checked_sub(before).unwrap_or_default().as_secs_f64();
    let wall = began.elapsed().as_secs_f64();
    println!("{}", serde_json::to_string(&Figures { cpu, wall, peak: peak()?, ..figures })?);
    Ok(())
}

fn figures(rows: u64) -> Figures {
    Figures { rows, commits: 0, statements: 0, staged: 0, cpu: 0.0, wall: 0.0, peak: 0.0 }
}

fn make(rows: u32) -> Outcome<Figures> {
    let records = Records::new();
    (0..rows).for_each(|number| drop(std::hint::black_box(records.record(number))));
    Ok(figures(rows.into()))
}

/// This process's database.
fn database() -> String {
    format!("BENCH_{}", std::process::id())
}

fn connection(port: u16) -> ConnectionConfig {
    let connection = ConnectionConfig::new("bench", "bench", Credentials::Password("bench".into()));
    let connection = connection.host("127.0.0.1").port(port).protocol(Protocol::Http).database(database());
    connection.schema("PUBLIC")
}

/// The compressed size of a file, in bytes.
const FILE: u64 = 100_000_000;

/// Files of records, compressed, stored, loaded into a table of one column, and merged by key. No state, no counts.
async fn by_hand(rows: u32, port: u16) -> Outcome<Figures> {
    let client = HttpClient::new(connection(port))?;
    let mut session = client.open().await?;
    let schema = format!("\"{}\".\"PUBLIC\"", database());
    session.execute(Statement::new(Sql::assert_safe(format!("CREATE DATABASE \"{}\"", database())))).await?;
    session.execute(Statement::new(Sql::assert_safe(format!("CREATE SCHEMA IF NOT EXISTS {schema}")))).await?;
    session.execute(Statement::new(Sql::assert_safe(format!("USE SCHEMA {schema}")))).await?;
    session.execute(Statement::new("CREATE STAGE \"S\" ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')")).await?;
    session.execute(Statement::new("CREATE TABLE \"LOADED\" (\"ROW\" VARIANT)")).await?;
    session.execute(Statement::new("CREATE TABLE \"T\" (\"ID\" VARCHAR, \"ROW\" VARIANT)")).await?;
    let records = Records::new();
    let (mut number, mut files) = (0, 0);
    while number < rows {
        let mut file = GzipLines::new();
        while number < rows && file.size() < FILE {
            let record = records.record(number);
            let json = record.json().ok_or("a record without a document")?;
            file.push(&serde_json::from_str::<&serde_json::value::RawValue>(json)?)?;
            number += 1;
        }
        session
            .put(StagedFile { stage: "\"S\"".into(), name: format!("{files}.json.gz"), content: file.finish()? })
            .await?;
        files += 1;
    }
    session.execute(Statement::new("COPY INTO \"LOADED\" FROM @\"S\" FILE_FORMAT = (TYPE = JSON)")).await?;
    let merge = "MERGE INTO \"T\" t USING (SELECT \"ROW\":id::VARCHAR AS \"ID\", \"ROW\" FROM \"LOADED\") s ON t.\"ID\" = s.\"ID\" WHEN MATCHED \
                 THEN UPDATE SET \"ROW\" = s.\"ROW\" WHEN NOT MATCHED THEN INSERT (\"ID\", \"ROW\") VALUES (s.\"ID\", s.\"ROW\")";
    session.execute(Statement::new(merge)).await?;
    let counted = session.execute(Statement::new("SELECT CAST(COUNT(*) AS VARCHAR) AS \"N\" FROM \"T\"")).await?;
    let rows = counted.rows.first().ok_or("no count")?.integer(0)?.unsigned_abs();
    session.close().await?;
    let spent = client.usage();
    Ok(Figures { commits: 1, statements: spent.statements, staged: spent.staged_bytes, ..figures(rows) })
}

/// Creates the database, by loading another resource.
async fn create_database(port: u16) -> Outcome<()> {
    let snowflake = Snowflake::connect(connection(port))?;
    let connector = Connector::new(Source(1), Arc::new(snowflake.clone()));
    connector.ingest(IngestRequest::new([Resource::new("other")?])).await?;
    Ok(snowflake.close().await?)
}

async fn ingest(rows: u32, port: u16, stages: bool) -> Outcome<Figures> {
    let mut builder = Snowflake::builder(connection(port));
    if !stages {
        builder = builder.max_bind_bytes(usize::MAX);
    }
    let snowflake = builder.build()?;
    let mut limits = snowflake.limits();
    if !stages {
        // Rows that travel as bound values are small.
        (limits.read_ahead, limits.commit_bytes, limits.stage) = (4 << 20, 2 << 20, false);
    }
    let connector = Connector::new(Source(rows), Arc::new(snowflake.clone())).limits(limits);
    let report = connector.ingest(IngestRequest::new([Resource::new("bench")?])).await?;
    if report.status() != RunStatus::Complete {
        return Err(format!("{:?}", report.runs).into());
    }
    snowflake.close().await?;
    let spent = snowflake.usage();
    let commits = report.runs.iter().map(|run| run.commits).sum();
    let rows = report.counts().inserted;
    Ok(Figures { commits, statements: spent.statements, staged: spent.staged_bytes, ..figures(rows) })
}
