//! The figures of all ways, beside each other.

use super::scenarios::{Failing, Figures, Killed, Run};
use super::server::Failure;
use super::ways::{Errors, Way};

/// A line of the table: what is measured, and the value of a way.
type Line = (String, String);

pub(crate) fn print(measured: &[(&Way, Figures)], latency: u32) {
    let columns: Vec<Vec<Line>> = measured.iter().map(|(_, figures)| lines(figures, latency)).collect();
    let titles: Vec<&str> = measured.iter().map(|(way, _)| way.title()).collect();
    println!("| | {} |", titles.join(" | "));
    println!("|---|{}", "--:|".repeat(titles.len()));
    for (index, (label, _)) in columns.first().into_iter().flatten().enumerate() {
        let values: Vec<&str> = columns.iter().map(|column| column[index].1.as_str()).collect();
        println!("| {label} | {} |", values.join(" | "));
    }
}

fn lines(figures: &Figures, latency: u32) -> Vec<Line> {
    let Figures { lines, characters, first, slow, idle, news, all, new_columns, killed, failing, busy } = figures;
    let line = |label: &str, value: String| (label.to_owned(), value);
    let mut table = vec![
        line("lines", lines.to_string()),
        line("… characters, without indentation", characters.to_string()),
        line("first read: requests", first.requests.to_string()),
        line("… wall s", format!("{:.2}", first.usage.wall)),
        line("… CPU s", cpu(first)),
        line("… peak MiB", format!("{:.0}", first.usage.peak)),
    ];
    table.extend([
        line(&format!("first read at {latency} ms latency: wall s"), format!("{:.1}", slow.usage.wall)),
        line("second run, without changes: requests", idle.requests.to_string()),
        line("… wall s", format!("{:.2}", idle.usage.wall)),
        line("… CPU s", cpu(idle)),
        line(
            "run after 20 changed tickets, 8 deleted ones and 15 deleted comments of others: requests",
            news.0.requests.to_string(),
        ),
        line("… missing, stale", missing_and_stale(news.1)),
        line("… deleted tickets and comments that are still there", extra(news.1)),
        line("run that reads everything again: requests", all.0.requests.to_string()),
        line("… missing, stale", missing_and_stale(all.1)),
        line("… deleted tickets and comments that are still there", extra(all.1)),
        line("a column for a field first seen on page 2", yes(new_columns[0])),
        line("a column for a field first seen in a later run", yes(new_columns[1])),
    ]);
    for (Killed { before, rerun, errors }, part) in killed.iter().zip(["a quarter", "half", "three quarters"]) {
        let repeated = (before + rerun).saturating_sub(first.requests);
        table.extend([
            line(
                &format!("killed at {latency} ms latency after {part} of the requests: requests before, in the rerun"),
                format!("{before}, {rerun}"),
            ),
            line("… more than without the kill", repeated.to_string()),
            line("… lost, duplicated", format!("{}, {}", errors.missing, errors.duplicated)),
        ]);
    }
    for Failing { failure, runs, is_success, requests, wall, errors } in failing {
        let failed = if *is_success { runs - 1 } else { *runs };
        table.extend([
            line(&format!("first read with {}: failed runs", title(*failure)), failed.to_string()),
            line("… requests", requests.to_string()),
            line("… wall s", format!("{wall:.1}")),
            line("… missing, stale", missing_and_stale(*errors)),
        ]);
    }
    table.push(line(
        &format!("first read at {latency} ms latency during 30 changes a second, and another run: missing, stale"),
        missing_and_stale(*busy),
    ));
    table
}

fn title(failure: Failure) -> &'static str {
    match failure {
        Failure::Statuses => "nine 429s and nine 500s",
        Failure::Disconnects => "nine connections that end within a body",
        Failure::Truncated => "nine bodies that end within the JSON text",
    }
}

/// The system counts in hundredths.
fn cpu(run: &Run) -> String {
    match run.usage.cpu {
        0.0 => "< 0.01".to_owned(),
        cpu => format!("{cpu:.2}"),
    }
}

fn missing_and_stale(errors: Errors) -> String {
    format!("{}, {}", errors.missing, errors.stale)
}

fn extra(errors: Errors) -> String {
    format!("{}, {}", errors.extra.0, errors.extra.1)
}

fn yes(is: bool) -> String {
    (if is { "yes" } else { "no" }).to_owned()
}
