//! What we want to reach, and whether this run did; and our own figures against each other.

use crate::results::Results;
use crate::stats::Spread;
use benches::{Case, Group, Kind, Place, Subject, Unit};

/// What a figure of ours is held against.
#[derive(Clone, Copy)]
enum Bound {
    /// At most this cost: nanoseconds, bytes, descriptors.
    Most(f64),
    /// At least so many a second.
    Least(f64),
    /// At most so many times the cost of another participant, of this case or another one of the group (`case/subject`).
    Times(&'static str, f64),
    /// At least this part of the other's speed.
    Part(&'static str, f64),
    /// Nothing is asked for; the ratio is told.
    Beside(&'static str),
}

use Bound::{Beside, Least, Most, Part, Times};

/// A figure of ours at some places, and what it is held against: one of the bounds is enough.
struct Target {
    group: &'static str,
    /// `case/subject`.
    figure: &'static str,
    places: &'static [Place],
    bounds: &'static [Bound],
}

const fn target(
    group: &'static str,
    figure: &'static str,
    places: &'static [Place],
    bounds: &'static [Bound],
) -> Target {
    Target { group, figure, places, bounds }
}

const FREE: &[Place] = &[Place::Free];
const TWO: &[Place] = &[Place::Free, Place::Apart];
const ONE: &[Place] = &[Place::OneCpu];
const US: f64 = 1e3;
const MS: f64 = 1e6;
const KIB: f64 = 1024.0;
/// What "no CPU" means: a thousandth of one.
const NO_CPU: f64 = MS;
/// What "equal" means: the noise of a machine.
const EQUAL: f64 = 1.05;

const TARGETS: &[Target] = &[
    target("start", "fork-small/fork", FREE, &[Times("fork-small/raw", 1.25)]),
    target("start", "fork-1GiB/fork", FREE, &[Times("fork-1GiB/raw", 1.25)]),
    target("start", "spawn-small/spawn", FREE, &[Times("spawn-small/vfork-exec", 1.15)]),
    target("start", "spawn-1GiB/spawn", FREE, &[Times("spawn-1GiB/vfork-exec", 1.15)]),
    target("start", "spawn-1GiB/spawn", FREE, &[Times("spawn-small/spawn", 1.1)]),
    target("start", "zygote-small/zygote", FREE, &[Most(250.0 * US), Times("zygote-small/bare", 1.6)]),
    target("start", "zygote-1GiB/zygote", FREE, &[Most(250.0 * US), Times("zygote-1GiB/bare", 1.6)]),
    target("start", "zygote-1GiB/zygote", FREE, &[Beside("zygote-small/zygote")]),
    target("run", "true-small/run", FREE, &[Times("true-small/std-output", 1.05)]),
    target("run", "true-small/run", FREE, &[Times("true-small/std", 1.05)]),
    target("run", "true-small/status", FREE, &[Times("true-small/std", 1.05)]),
    target("run", "options-small/run", FREE, &[Times("true-small/run", 1.1)]),
    target("run", "true-1GiB/run", FREE, &[Times("true-small/run", 1.1)]),
    target("run", "options-1GiB/run", FREE, &[Times("true-small/run", 1.1)]),
    target("run", "echo/run", FREE, &[Times("echo/std", 1.0)]),
    target("run", "capture/run", FREE, &[Times("capture/std", 1.0)]),
    target("run", "capture/run", FREE, &[Least(1.8e9)]),
    target("run", "cat/run", FREE, &[Times("cat/duct", 1.0)]),
    target("run", "cat/run", FREE, &[Least(1.2e9)]),
    target("lock", "uncontended/mutex", FREE, &[Most(16.0)]),
    target("lock", "uncontended/mutex", FREE, &[Times("uncontended/parking_lot", 1.3)]),
    target("lock", "contended/mutex", &[Place::Apart], &[Times("contended/futex", 1.5)]),
    target("lock", "contended/mutex", &[Place::Apart], &[Most(50.0)]),
    target("lock", "add/value", FREE, &[Times("add/atomic", EQUAL)]),
    target("lock", "event/event", &Place::ALL, &[Times("event/futex", 1.2)]),
    target("lock", "condvar/condvar", &Place::ALL, &[Times("condvar/futex", 1.2)]),
    target("message", "round-trip/pipe", TWO, &[Most(0.6 * US)]),
    target("message", "round-trip/pipe", ONE, &[Most(2.5 * US)]),
    target("message", "round-trip/queue", FREE, &[Most(US)]),
    target("message", "one-way/typed", FREE, &[Least(15e6)]),
    target("message", "one-way/bytes", FREE, &[Least(20e6)]),
    target("message", "bulk/bytes", FREE, &[Least(12e9)]),
    target("message", "bulk/typed", FREE, &[Least(12e9)]),
    target("message", "bulk/typed", &Place::ALL, &[Part("bulk/bytes", 0.7)]),
    target("message", "queue-1-1/queue", FREE, &[Least(8e6)]),
    target("message", "queue-2-2/queue", FREE, &[Least(5e6)]),
    target("pool", "submit-2/pool", FREE, &[Least(2.5e6)]),
    target("pool", "submit-2/pool", FREE, &[Times("submit-2/rayon", 1.0)]),
    target("pool", "submit-8/pool", FREE, &[Part("submit-2/pool", 0.7)]),
    target("pool", "submit-32/pool", FREE, &[Part("submit-2/pool", 0.7)]),
    target("pool", "map/pool", FREE, &[Least(20e6)]),
    target("pool", "one/pool", FREE, &[Most(1.5 * US)]),
    target("pool", "bulk/pool", FREE, &[Least(8e9)]),
    target("pool", "create/spawn", FREE, &[Most(2.5 * MS)]),
    target("pool", "create/zygote", FREE, &[Most(MS)]),
    target("pool", "unequal/map", FREE, &[Times("unequal/ideal", 1.1)]),
    target("pool", "memory/pool", FREE, &[Most(200.0)]),
    target("idle", "pool/pool", FREE, &[Most(NO_CPU)]),
    target("idle", "receiver/pipe", FREE, &[Most(NO_CPU)]),
    target("idle", "receiver/queue", FREE, &[Most(NO_CPU)]),
    target("idle", "descriptors/pipe", FREE, &[Most(3.0)]),
    target("idle", "descriptors/channel", FREE, &[Most(3.0)]),
    target("idle", "memory/pipe", FREE, &[Most(64.0 * KIB)]),
    target("idle", "memory/queue", FREE, &[Most(64.0 * KIB)]),
];

/// A target at one place, and what this run says of it.
pub(crate) struct Row<'a> {
    pub(crate) group: &'a Group,
    pub(crate) case: &'a Case,
    pub(crate) subject: &'a Subject,
    pub(crate) place: Place,
    /// Whether it is held against another figure of ours.
    pub(crate) within: bool,
    /// What is asked for, in words.
    pub(crate) wanted: String,
    /// What was found, in the same terms; empty if nothing was.
    pub(crate) found: String,
    pub(crate) outcome: Outcome,
}

/// Whether it was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Met,
    /// By this part: 0.12 for 12 %.
    Missed(f64),
    /// There is nothing to reach.
    Told,
    Unmeasured,
}

impl Outcome {
    /// The class for style sheets.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Outcome::Met => "win",
            Outcome::Missed(_) => "loss",
            Outcome::Told => "even",
            Outcome::Unmeasured => "gone",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Outcome::Met => f.write_str("met"),
            Outcome::Missed(by) if *by < 0.1 => write!(f, "missed by {:.1} %", by * 100.0),
            Outcome::Missed(by) if *by < 1.0 => write!(f, "missed by {:.0} %", by * 100.0),
            Outcome::Missed(by) if *by < 9.0 => write!(f, "missed {:.1}-fold", by + 1.0),
            Outcome::Missed(by) => write!(f, "missed {:.0}-fold", by + 1.0),
            Outcome::Told => f.write_str("no target"),
            Outcome::Unmeasured => f.write_str("not measured"),
        }
    }
}

/// The targets of the groups that this run has.
pub(crate) fn rows(results: &Results) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for target in TARGETS {
        let Some(group) = results.groups.iter().find(|group| group.key == target.group) else { continue };
        let Some((case, subject)) = find(group, target.figure) else { continue };
        for &place in target.places {
            rows.push(row(results, target, group, case, subject, place));
        }
    }
    rows
}

/// The figures that a target names and that its group doesn't have.
///
/// Of interest when the rivals are there: without them, what is held against them has nothing to be held against.
pub(crate) fn unknown(groups: &[Group]) -> Vec<String> {
    let mut unknown = Vec::new();
    for target in TARGETS {
        let Some(group) = groups.iter().find(|group| group.key == target.group) else { continue };
        let named = target.bounds.iter().filter_map(|bound| bound.other()).chain([target.figure]);
        unknown.extend(
            named.filter(|path| find(group, path).is_none()).map(|path| format!("{} {path}", group.key)),
        );
    }
    unknown
}

fn find<'a>(group: &'a Group, path: &str) -> Option<(&'a Case, &'a Subject)> {
    let (case, subject) = path.split_once('/')?;
    let case = group.cases.iter().find(|found| found.key == case)?;
    Some((case, case.subjects.iter().find(|found| found.key == subject)?))
}

fn row<'a>(
    results: &Results,
    target: &Target,
    group: &'a Group,
    case: &'a Case,
    subject: &'a Subject,
    place: Place,
) -> Row<'a> {
    let median = |case: &Case, subject: &Subject| {
        let figure = results.figure(group, case, subject, place)?;
        Some(Spread::of(&figure.samples)?.median)
    };
    let ours = median(case, subject);
    let (mut wanted, mut found, mut outcomes, mut within) = (Vec::new(), Vec::new(), Vec::new(), false);
    for bound in target.bounds {
        let other = bound.other().and_then(|path| find(group, path));
        within |= other.is_some_and(|(_, subject)| subject.kind == Kind::Ours);
        wanted.push(bound.wanted(
            &case.unit,
            other.map(|(theirs, subject)| {
                // Two cases of ours have the same participant: the case tells them apart.
                if theirs.key == case.key { &subject.name } else { &theirs.title }
            }),
        ));
        let theirs = other.and_then(|(case, subject)| median(case, subject));
        let outcome = match (ours, bound.other().is_some(), theirs) {
            (Some(ours), false, _) => bound.judge(&case.unit, ours, 1.0),
            (Some(ours), true, Some(theirs)) => bound.judge(&case.unit, ours, theirs),
            _ => continue,
        };
        found.push(outcome.0);
        outcomes.push(outcome.1);
    }
    Row {
        group,
        case,
        subject,
        place,
        within,
        wanted: wanted.join(" or "),
        found: found.join(", "),
        outcome: best(&outcomes),
    }
}

/// One that is met is enough; else the smallest miss counts.
fn best(outcomes: &[Outcome]) -> Outcome {
    let worth = |outcome: &Outcome| match outcome {
        Outcome::Met | Outcome::Told => 0.0,
        Outcome::Missed(by) => *by,
        Outcome::Unmeasured => f64::MAX,
    };
    let best = outcomes.iter().min_by(|a, b| worth(a).total_cmp(&worth(b)));
    best.copied().unwrap_or(Outcome::Unmeasured)
}

impl Bound {
    fn other(&self) -> Option<&'static str> {
        match self {
            Most(_) | Least(_) => None,
            Times(other, _) | Part(other, _) | Beside(other) => Some(other),
        }
    }

    fn wanted(&self, unit: &Unit, other: Option<&String>) -> String {
        let other = other.map_or("what is not here", String::as_str);
        match self {
            Most(cost) => format!("at most {}", unit.show(*cost)),
            Least(speed) => format!("at least {}", unit.show_plotted(*speed)),
            Times(_, 1.0) => format!("no slower than {other}"),
            Times(_, times) => format!("at most {times} × {other}"),
            Part(_, part) => format!("at least {part} × the speed of {other}"),
            Beside(_) => format!("beside {other}"),
        }
    }

    /// What was found in the terms of the bound, and how that is to be judged.
    fn judge(&self, unit: &Unit, ours: f64, theirs: f64) -> (String, Outcome) {
        let (times, part) = (ours / theirs, theirs / ours);
        let (found, over) = match self {
            Most(cost) => (unit.show(ours), ours / cost),
            Least(speed) => (unit.show(ours), speed / unit.plotted(ours)),
            Times(_, most) => (format!("{times:.2} ×"), times / most),
            Part(_, least) => (format!("{part:.2} × the speed"), least / part),
            Beside(_) => return (format!("{times:.2} ×"), Outcome::Told),
        };
        (found, if over <= 1.0 { Outcome::Met } else { Outcome::Missed(over - 1.0) })
    }
}

/// The tables in Markdown.
pub(crate) fn markdown(results: &Results) -> String {
    let (within, others): (Vec<_>, Vec<_>) = rows(results).into_iter().partition(|row| row.within);
    let mut text = String::new();
    for (title, rows) in [("Targets", others), ("Within ourselves", within)] {
        if rows.is_empty() {
            continue;
        }
        text += &format!(
            "\n### {title}\n\n| figure | where | ours | wanted | found | |\n|---|---|---|---|---|---|\n"
        );
        for row in rows {
            text += &format!(
                "| {} | {} | `{}` | {} | {} | {} |\n",
                row.case.title,
                row.place.name(),
                row.subject.name,
                row.wanted,
                row.found,
                row.outcome
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_and_speeds_are_judged_in_their_own_terms() {
        let rate = Unit::Rate("tasks".into());
        assert_eq!(Most(250.0 * US).judge(&Unit::Time, 180.0 * US, 1.0), ("180 µs".into(), Outcome::Met));
        assert_eq!(Least(2.5e6).judge(&rate, 400.0, 1.0), ("2.50 M/s".into(), Outcome::Met));
        assert_eq!(Least(5e6).judge(&rate, 400.0, 1.0).1, Outcome::Missed(1.0));
        assert_eq!(Times("a/b", 0.75).judge(&Unit::Time, 3.0, 2.0), ("1.50 ×".into(), Outcome::Missed(1.0)));
        assert_eq!(Part("a/b", 0.7).judge(&rate, 10.0, 8.0), ("0.80 × the speed".into(), Outcome::Met));
        assert_eq!(Beside("a/b").judge(&Unit::Time, 3.0, 2.0), ("1.50 ×".into(), Outcome::Told));
    }

    #[test]
    fn what_is_wanted_is_said_in_the_unit_of_the_figure() {
        assert_eq!(Most(16.0).wanted(&Unit::Time, None), "at most 16.0 ns");
        assert_eq!(Least(12e9).wanted(&Unit::Throughput(1 << 20), None), "at least 12.0 GB/s");
        assert_eq!(Times("a/b", 1.1).wanted(&Unit::Time, Some(&"b".into())), "at most 1.1 × b");
    }

    #[test]
    fn one_bound_that_is_met_is_enough() {
        assert_eq!(best(&[Outcome::Missed(0.3), Outcome::Met]), Outcome::Met);
        assert_eq!(best(&[Outcome::Missed(0.3), Outcome::Missed(0.1)]), Outcome::Missed(0.1));
        assert_eq!(best(&[]), Outcome::Unmeasured);
    }

    #[test]
    fn a_target_names_a_case_and_a_participant() {
        for target in TARGETS {
            let others = target.bounds.iter().filter_map(Bound::other);
            for path in others.chain([target.figure]) {
                assert_eq!(path.split('/').count(), 2, "{path}");
            }
        }
    }
}
