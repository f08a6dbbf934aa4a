//! The views over all resources of a stream: when they are current, and how they are rebuilt.

use std::time::Duration;

use tokio::time::Instant;

use super::entries::{CatalogRow, SECOND_CLAIM, claim, finish_claim, write_row};
use super::{Catalog, STALE, UnionView, VIEW_SUFFIX};
use crate::backends::snowflake::names::{Names, digest, union_name, upper_name};
use crate::backends::snowflake::view::{UnionMember, View};
use crate::net::delays_with_jitter;
use crate::snowflake::Session;
use crate::{Result, StreamSpec};

/// From this many resources on, a stream's views over all resources are rebuilt at most once in [`REBUILD_EVERY`], and at the end of a
/// cycle: their texts grow with the number of resources, and so does the time that Snowflake takes for them.
const MANY_RESOURCES: usize = 32;

/// See [`MANY_RESOURCES`].
const REBUILD_EVERY: Duration = Duration::from_secs(60);

impl Catalog {
    /// Whether the views over all resources of a stream may lack some for a while: not if they lack a column.
    pub(super) fn may_put_off(&self, spec: &StreamSpec) -> bool {
        let is_recent = self.rebuilt_at.get(&spec.name).is_some_and(|rebuilt| rebuilt.elapsed() < REBUILD_EVERY);
        let has_columns =
            || self.unions.get(&spec.name).is_some_and(|union| union.columns == self.merged_columns(spec));
        is_recent && has_columns() && self.tables.keys().filter(|(of, _)| *of == spec.name).count() >= MANY_RESOURCES
    }

    /// Whether the views of a stream are put off, and can stay so.
    pub(super) fn is_put_off(&self, spec: &StreamSpec) -> bool {
        self.put_off.contains_key(&spec.name) && self.may_put_off(spec)
    }

    /// Whether views are put off.
    pub(in crate::backends::snowflake) fn has_put_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// Rebuilds the views that are put off.
    pub(in crate::backends::snowflake) async fn finish(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
    ) -> Result<()> {
        for spec in self.put_off.values().cloned().collect::<Vec<_>>() {
            self.ensure_views(session, names, &spec).await?;
        }
        Ok(())
    }

    /// Whether the view of a stream has all columns and covers all resources. As long as nothing changes, only the first call looks at all
    /// resources.
    pub(super) fn are_views_current(&mut self, names: &Names, spec: &StreamSpec) -> bool {
        if self.compared.get(&spec.name) == Some(spec) {
            return true;
        }
        let is_current = self.compare_views(names, spec);
        if is_current {
            self.compared.insert(spec.name.clone(), spec.clone());
        }
        is_current
    }

    fn compare_views(&self, names: &Names, spec: &StreamSpec) -> bool {
        let desired = self.desired_union(names, spec);
        let view = View::for_stream(names, spec, &desired.columns);
        let union = names.raw(&union_name(&spec.name));
        let is_union = self.unions.get(&spec.name) == Some(&desired) || self.frozen.contains(&union);
        let is_view = self.views.get(&spec.name) == Some(&digest(&view.select)) || self.frozen.contains(&view.name);
        is_union && is_view
    }

    /// The raw tables of a stream.
    fn raw_tables(&self, stream: &str) -> Vec<UnionMember<'_>> {
        let of_stream = self.tables.iter().filter(|((of, _), _)| of == stream);
        of_stream
            .map(|((_, resource), table)| UnionMember {
                resource,
                table: &table.name,
                has_parents: table.is_numbered(),
            })
            .collect()
    }

    /// The desired union view of a stream. Its digest covers the text over one table, and the names of all tables.
    fn desired_union(&self, names: &Names, spec: &StreamSpec) -> UnionView {
        let any = UnionMember { resource: "", table: "", has_parents: true };
        let mut text = View::union(names, spec, &[any]).select.to_string();
        for UnionMember { resource, table, has_parents } in self.raw_tables(&spec.name) {
            text += &format!("{}:{resource}{}:{table}", resource.len(), table.len());
            if spec.child_of().is_some() && !has_parents {
                text += "without parents";
            }
        }
        UnionView { columns: self.merged_columns(spec), made_from: digest(&text) }
    }

    /// The union view over the raw tables of a stream.
    fn union(&self, names: &Names, spec: &StreamSpec) -> View {
        View::union(names, spec, &self.raw_tables(&spec.name))
    }

    /// Rebuilds the view over all resources of a stream, unless it is current.
    pub(super) async fn ensure_views(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        spec: &StreamSpec,
    ) -> Result<()> {
        if self.are_views_current(names, spec) {
            self.put_off.remove(&spec.name);
            return Ok(());
        }
        let union = self.union(names, spec);
        if union.is_too_long() {
            tracing::warn!(
                view = %names.view(&upper_name(&spec.name)), resources = self.raw_tables(&spec.name).len(),
                "the view over all resources stays as it is: its definition would exceed Snowflake's limit of 1 MB. \
                 Query the views of the resources themselves, or keep fewer resources in one database"
            );
            self.frozen.extend([union.name, names.view(&upper_name(&spec.name))]);
            self.put_off.remove(&spec.name);
            return Ok(());
        }
        // Without growing delays, concurrent programs could interfere with each other forever.
        let mut delays = delays_with_jitter(Duration::from_millis(200), Duration::from_secs(30));
        let mut is_alone = true;
        while !self.rebuild_views(session, names, spec, is_alone).await? {
            is_alone = false;
            tokio::time::sleep(delays.next().unwrap_or_default()).await;
        }
        self.compared.remove(&spec.name);
        self.rebuilt_at.insert(spec.name.clone(), Instant::now());
        self.put_off.remove(&spec.name);
        Ok(())
    }

    /// Rebuilds the views over all resources of a stream, and returns whether the result is final.
    ///
    /// Snowflake has no conditional replacement of a view, and several programs may rebuild this one. So each claims the stream
    /// first, and only then reads what the view must cover. If another claim came meanwhile, this view may be incomplete and
    /// still be the last one written, so it must be rebuilt.
    async fn rebuild_views(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        spec: &StreamSpec,
        is_alone: bool,
    ) -> Result<bool> {
        let id = uuid::Uuid::now_v7().to_string();
        claim(session, names, &spec.name, &id).await?;
        self.reload(session, names).await?;
        let claimed = self.unions.get(&spec.name).map(|stream| stream.made_from.clone()).unwrap_or_default();
        if !claimed.ends_with(&id) {
            return Ok(false);
        }
        let mut made = self.desired_union(names, spec);
        self.union(names, spec).replace(session).await?;
        let is_doubtful = claimed.starts_with(SECOND_CLAIM);
        self.rebuild_stream_view(session, names, spec, &made, is_alone && !is_doubtful).await?;
        if is_doubtful {
            made.made_from = STALE.to_owned();
        }
        let counts = finish_claim(session, names, &spec.name, &claimed, &made.columns, &made.made_from).await?;
        if counts {
            self.unions.insert(spec.name.clone(), made);
        }
        Ok(counts)
    }

    /// Replaces the view over the union of a stream if its text has changed. A concurrent program may have replaced it last but
    /// written its digest first, so a digest is trusted, and stored, only if this program is alone.
    async fn rebuild_stream_view(
        &mut self,
        session: &mut dyn Session,
        names: &Names,
        spec: &StreamSpec,
        made: &UnionView,
        is_alone: bool,
    ) -> Result<()> {
        let stream = spec.name.as_str();
        let view = View::for_stream(names, spec, &made.columns);
        let desired = digest(&view.select);
        if is_alone && self.views.get(stream) == Some(&desired) || self.frozen.contains(&view.name) {
            return Ok(());
        }
        if !view.replace_unless_protected(session).await? {
            self.frozen.insert(view.name);
            return Ok(());
        }
        let stream_of_view = format!("{stream}{VIEW_SUFFIX}");
        let made_from = if is_alone { desired.as_str() } else { STALE };
        let (resource, name) = ("", &upper_name(stream));
        let entry = CatalogRow { resource, stream: &stream_of_view, name, columns: "[]".to_owned(), made_from };
        write_row(session, names, &entry).await?;
        self.views.insert(stream.to_owned(), made_from.to_owned());
        Ok(())
    }
}
