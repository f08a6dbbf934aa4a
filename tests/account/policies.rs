//! Policies and tags on a view survive changes to the view.

use snowfeed::Sink;

use crate::scene::{Scene, ask, cell, is_not_offered};
use crate::source::{commit, issue, resource, table};
use crate::step::{Ended, Stop, ensure};

/// A masking policy, a row access policy and a tag on a stream's view, which then gets another resource.
pub(crate) async fn survive(scene: &Scene<'_>) -> Ended {
    let database = scene.database("POLICIES").await?;
    let (first, second) = (resource("first"), resource("second"));
    let snowflake = scene.backend(&database)?;
    snowflake.ensure_streams(&first, &[table()]).await?;
    snowflake.commit(commit(&first, (0..10).map(issue).collect())).await?;
    let view = format!("{database}.PUBLIC.ISSUES");
    let mut session = scene.session().await?;
    let policies = [
        format!("CREATE MASKING POLICY {database}.PUBLIC.MASK AS (V VARCHAR) RETURNS VARCHAR -> '***'"),
        format!("ALTER VIEW {view} MODIFY COLUMN TITLE SET MASKING POLICY {database}.PUBLIC.MASK"),
        format!("CREATE ROW ACCESS POLICY {database}.PUBLIC.SOME AS (N NUMBER) RETURNS BOOLEAN -> N < 5"),
        format!("ALTER VIEW {view} ADD ROW ACCESS POLICY {database}.PUBLIC.SOME ON (ID)"),
        format!("CREATE TAG {database}.PUBLIC.KEPT"),
        format!("ALTER VIEW {view} SET TAG {database}.PUBLIC.KEPT = 'yes'"),
    ];
    for sql in policies {
        if let Err(error) = ask(&mut *session, sql).await {
            return Err(match is_not_offered(&error) {
                true => Stop::Skipped(format!("the edition has no policies: {}", error.message())),
                false => error.into(),
            });
        }
    }
    let masked = format!("SELECT COUNT(*) AS N FROM {view} WHERE TITLE <> '***' OR ID >= 5");
    ensure!(cell(&ask(&mut *session, &masked).await?)? == "0", "the policies have no effect before the change");
    snowflake.ensure_streams(&second, &[table()]).await?;
    snowflake.commit(commit(&second, (0..10).map(issue).collect())).await?;
    ensure!(cell(&ask(&mut *session, &masked).await?)? == "0", "a policy was lost when the view got another resource");
    let shown = cell(&ask(&mut *session, format!("SELECT COUNT(*) AS N FROM {view}")).await?)?;
    ensure!(shown == "10", "the view shows {shown} rows of the 10 that the policy allows");
    let tag = format!("SELECT SYSTEM$GET_TAG('{database}.PUBLIC.KEPT', '{view}', 'TABLE')");
    ensure!(cell(&ask(&mut *session, tag).await?)? == "yes", "the tag was lost when the view got another resource");
    Ok(Vec::new())
}
