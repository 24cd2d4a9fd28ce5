//! The short table: for each figure ours, and the best of each kind of other.

use crate::results::Results;
use crate::stats::Spread;
use crate::targets;
use crate::verdict::Verdict;
use benches::{Case, Group, Kind, Place, Subject};

/// One line of the table.
pub(crate) struct Line<'a> {
    pub(crate) group: &'a Group,
    pub(crate) case: &'a Case,
    pub(crate) place: Place,
    pub(crate) ours: (&'a Subject, Spread),
    /// The best library that works between processes, the bare calls, the best library of threads.
    pub(crate) others: [Option<(&'a Subject, Spread)>; 3],
}

/// The kinds of others, in the order of [`Line::others`].
pub(crate) const OTHERS: [(Kind, &str); 3] =
    [(Kind::Rival, "best rival"), (Kind::Floor, "best bare call"), (Kind::Threads, "best of threads")];

/// A line for each of our participants at each place where it was measured.
pub(crate) fn lines(results: &Results) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for group in &results.groups {
        for case in &group.cases {
            for place in Place::ALL {
                let measured: Vec<(&Subject, Spread)> = case
                    .subjects
                    .iter()
                    .filter_map(|subject| {
                        let figure = results.figure(group, case, subject, place)?;
                        Some((subject, Spread::of(&figure.samples)?))
                    })
                    .collect();
                let best = |kind| {
                    let of_kind = measured.iter().filter(|(subject, _)| subject.kind == kind);
                    of_kind.min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median)).copied()
                };
                let others = OTHERS.map(|(kind, _)| best(kind));
                for &ours in measured.iter().filter(|(subject, _)| subject.kind == Kind::Ours) {
                    lines.push(Line { group, case, place, ours, others });
                }
            }
        }
    }
    lines
}

impl Line<'_> {
    /// Who is faster than this other.
    pub(crate) fn against(&self, other: &(&Subject, Spread)) -> Verdict {
        Verdict::of(self.ours.1.median, other.1.median)
    }
}

/// The table in Markdown.
pub(crate) fn markdown(results: &Results) -> String {
    let names = OTHERS.map(|(_, name)| format!("than the {name}")).join(" | ");
    let mut text = format!("| figure | where | ours | {names} |\n|---|---|---|");
    text += &"---|".repeat(OTHERS.len());
    text += "\n";
    for line in lines(results) {
        let (subject, spread) = line.ours;
        let unit = &line.case.unit;
        let (title, place) = (&line.case.title, line.place.name());
        text += &format!("| {title} | {place} | **{}** `{}` |", unit.show(spread.median), subject.name);
        for other in &line.others {
            text += &match other {
                Some((subject, spread)) => {
                    let verdict = Verdict::of(line.ours.1.median, spread.median).words(unit);
                    format!(" {verdict}: {} `{}` |", unit.show(spread.median), subject.name)
                }
                None => " |".into(),
            };
        }
        text += "\n";
    }
    text += &targets::markdown(results);
    text += &missing(results);
    let facts = &results.machine.facts;
    let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let rounds = if results.rounds == 1 { "one round" } else { "rounds minutes apart" };
    text += &format!(
        "\nMedians of criterion's samples, {rounds}, by `{}`. {}.\n",
        results.command,
        facts.join(". ")
    );
    text
}

/// What was not measured, a line for each reason.
fn missing(results: &Results) -> String {
    let troubles = results.troubles();
    if troubles.is_empty() && results.unbuilt.is_none() {
        return String::new();
    }
    let mut text = "\n### What is missing\n\n".to_owned();
    if let Some(unbuilt) = &results.unbuilt {
        text += &format!("- {unbuilt}\n");
    }
    for (why, figures) in troubles {
        text += &format!("- {why}: `{}`\n", figures.join("`, `"));
    }
    text
}
