//! The table "What it costs per month", computed again by the formulas below it.

use std::collections::BTreeMap;
use std::fs;

use snowfeed::backends::snowflake::WarehouseSize;

/// The formulas' constants: see the guide.
const REQUEST: f64 = 0.2;
const COMMIT: f64 = 2.0;
const SUSPEND: f64 = 60.0;
const DAYS: f64 = 30.0;
const HOUR: f64 = 3_600.0;
const POOL_MINIMUM: f64 = 300.0;
const POOL_RATE: f64 = 0.06;
const TASK: f64 = 10.0;
const TASK_RATE: f64 = 0.9;

/// The rows of the table: the values of the three examples by the row's name.
fn table(guide: &str) -> BTreeMap<String, [f64; 3]> {
    let (_, section) = guide.split_once("\n## What it costs per month\n").unwrap();
    let rows =
        section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let values = cells[1..].iter().map(|cell| cell.replace(',', "").parse().unwrap()).collect::<Vec<f64>>();
        (cells[0].trim_matches('*').to_owned(), values.try_into().unwrap())
    })
    .collect()
}

/// The computed rows of one example.
fn computed(given: impl Fn(&str) -> f64) -> Vec<(&'static str, f64)> {
    let credits = |seconds_a_day: f64, rate: f64| (seconds_a_day * DAYS / HOUR * rate * 10.0).round() / 10.0;
    let (cycles, concurrency) = (24.0 * 60.0 / given("a cycle every … minutes"), given("`run --concurrency`"));
    let reading = (given("resources") * given("streams of each") * REQUEST / concurrency).ceil();
    let loading = (given("changed resources in such a cycle") / concurrency).ceil() * COMMIT;
    let awake = reading.max(loading) + SUSPEND;
    let changing = given("of these, cycles that find a change");
    let pool = cycles * POOL_MINIMUM.max(reading + SUSPEND);
    vec![
        ("cycles a day", cycles),
        ("seconds of reading in a cycle", reading),
        ("seconds of loading in a cycle", loading),
        ("seconds awake in a cycle with a change", awake),
        ("warehouse, credits a month", credits(changing * awake, 1.0)),
        ("if each cycle finds a change", credits(cycles * awake, 1.0)),
        ("if nothing ever changes", credits(SUSPEND, 1.0)),
        ("in the native app, in addition: compute pool", credits(pool, POOL_RATE)),
        ("in the native app, in addition: serverless tasks", credits(cycles * TASK, TASK_RATE)),
    ]
}

#[test]
fn the_table_follows_from_its_formulas() {
    let guide = fs::read_to_string("docs/guides/deploy.md").unwrap();
    let table = table(&guide);
    assert_eq!(table.len(), 15);
    for (column, size) in ["small", "medium", "large"].iter().enumerate() {
        for (row, expected) in computed(|row| table[row][column]) {
            let printed = table[row][column];
            assert!((printed - expected).abs() < 0.01, "{row}, {size}: {printed} is printed, {expected} follows");
        }
    }
    // The figures in the text below it.
    let large = computed(|row| if row == "`run --concurrency`" { 4.0 } else { table[row][2] });
    let of = |name: &str| large.iter().find(|(row, _)| *row == name).unwrap().1;
    let text = format!(
        "reading takes {} seconds, and a month {} credits",
        of("seconds of reading in a cycle"),
        of("warehouse, credits a month")
    );
    assert!(guide.split_whitespace().collect::<Vec<_>>().join(" ").contains(&text), "{text}");
}

/// The estimates of the program use the same constants.
#[test]
fn the_program_estimates_with_the_same_constants() {
    let source = fs::read_to_string("src/backends/snowflake/cost/estimate.rs").unwrap();
    for constant in
        ["COMMIT_TIME: Duration = Duration::from_secs(2)", "AUTO_SUSPEND: Duration = Duration::from_secs(60)"]
    {
        assert!(source.contains(constant), "{constant}");
    }
    let hour = WarehouseSize::XSmall.credits(3_600_000);
    assert_eq!(hour.to_string(), "1");
}
