//! What is measured, in the words of the page.

use crate::Place;
use serde::{Deserialize, Serialize};

/// Figures that belong together: one benchmark binary, one chapter of the page.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Group {
    /// The word on the command line.
    pub key: String,
    /// The chapter's heading.
    pub title: String,
    /// A sentence or two on what is measured.
    pub what: String,
    /// The figures.
    pub cases: Vec<Case>,
}

/// One figure: a plot and a table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Case {
    /// Its word in an identifier.
    pub key: String,
    /// The heading.
    pub title: String,
    /// What one iteration does, exactly.
    pub what: String,
    /// How the figure is said.
    pub unit: Unit,
    /// Measured straight after the case before, because the two are compared with each other.
    #[serde(default)]
    pub follows: bool,
    /// Who takes part.
    pub subjects: Vec<Subject>,
}

/// One who takes part in a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subject {
    /// Its word in an identifier.
    pub key: String,
    /// Its name on the page.
    pub name: String,
    /// Why it is there.
    pub kind: Kind,
    /// Where it is measured.
    pub places: Vec<Place>,
}

/// Why a participant is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// This project.
    Ours,
    /// Another library that does the same.
    Rival,
    /// The bare system call or instruction that the work stands on: a limit, and no library.
    Floor,
    /// A library that does it between threads of one process, where nothing is isolated.
    Threads,
}

impl Kind {
    /// The word on the page.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ours => "ours",
            Kind::Rival => "rival",
            Kind::Floor => "bare",
            Kind::Threads => "threads",
        }
    }
}

/// How a figure is said. All are kept as a cost per iteration (nanoseconds, or bytes), so that less is always better.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Unit {
    /// The time of one iteration.
    Time,
    /// Iterations a second.
    Rate(String),
    /// Bytes a second, where one iteration moves this many.
    Throughput(u64),
    /// Bytes: measured once in a process, not by criterion.
    Bytes,
    /// A number of such things, likewise.
    Count(String),
    /// The CPU time that is used in a second in which nothing is to be done, in nanoseconds, likewise.
    Idling,
}

impl Unit {
    /// A cost, for people: three digits that count.
    pub fn show(&self, cost: f64) -> String {
        match self {
            Unit::Idling if cost == 0.0 => "none".into(),
            Unit::Count(_) => format!("{:.*}", if cost.fract() == 0.0 { 0 } else { 2 }, cost),
            Unit::Time | Unit::Idling => scaled(cost, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")]),
            Unit::Rate(_) => scaled(1e9 / cost, &[(1.0, "/s"), (1e3, "k/s"), (1e6, "M/s"), (1e9, "G/s")]),
            Unit::Throughput(bytes) => scaled(
                *bytes as f64 / cost * 1e9,
                &[(1.0, "B/s"), (1e3, "kB/s"), (1e6, "MB/s"), (1e9, "GB/s")],
            ),
            Unit::Bytes => scaled(cost, &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB")]),
        }
    }

    /// What stands on the plot's axis.
    pub fn axis(&self) -> (String, &'static str) {
        match self {
            Unit::Time => ("time of one".into(), "less is better"),
            Unit::Rate(what) => (format!("{what} a second"), "more is better"),
            Unit::Throughput(_) => ("bytes a second".into(), "more is better"),
            Unit::Bytes => ("bytes of memory".into(), "less is better"),
            Unit::Count(what) => (what.clone(), "less is better"),
            Unit::Idling => ("CPU time in a second".into(), "less is better"),
        }
    }

    /// The number that is plotted, for a cost: in the unit that the axis names.
    pub fn plotted(&self, cost: f64) -> f64 {
        match self {
            Unit::Time | Unit::Bytes | Unit::Count(_) | Unit::Idling => cost,
            Unit::Rate(_) => 1e9 / cost,
            Unit::Throughput(bytes) => *bytes as f64 / cost * 1e9,
        }
    }

    /// What is said of the smaller cost, and of the larger one.
    pub fn words(&self) -> (&'static str, &'static str) {
        match self {
            Unit::Time | Unit::Rate(_) | Unit::Throughput(_) => ("faster", "slower"),
            Unit::Bytes => ("smaller", "larger"),
            Unit::Count(_) => ("fewer", "more"),
            Unit::Idling => ("less", "more"),
        }
    }

    /// Whether a low cost is said as a high number.
    pub fn is_speed(&self) -> bool {
        matches!(self, Unit::Rate(_) | Unit::Throughput(_))
    }

    /// The text of a number that [`plotted`](Self::plotted) gave.
    pub fn show_plotted(&self, number: f64) -> String {
        match self {
            Unit::Time | Unit::Bytes | Unit::Count(_) | Unit::Idling => self.show(number),
            Unit::Rate(_) => self.show(1e9 / number),
            Unit::Throughput(bytes) => self.show(*bytes as f64 / number * 1e9),
        }
    }
}

fn scaled(number: f64, units: &[(f64, &str)]) -> String {
    let (scale, unit) = units.iter().rev().find(|(scale, _)| number >= *scale * 0.9995).unwrap_or(&units[0]);
    let number = number / scale;
    let digits = match number {
        n if n >= 99.95 => 0,
        n if n >= 9.995 => 1,
        _ => 2,
    };
    format!("{number:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_said_in_three_digits() {
        assert_eq!(Unit::Time.show(73_412.0), "73.4 µs");
        assert_eq!(Unit::Time.show(0.4), "0.40 ns");
        assert_eq!(Unit::Rate("messages".into()).show(50.0), "20.0 M/s");
        assert_eq!(Unit::Throughput(1 << 20).show(1_048_576.0 / 12.0), "12.0 GB/s");
        assert_eq!(Unit::Bytes.show(184.2), "184 B");
        assert_eq!(Unit::Count("descriptors".into()).show(3.0), "3");
        assert_eq!(Unit::Count("descriptors".into()).show(2.5), "2.50");
        assert_eq!(Unit::Idling.show(0.0), "none");
        assert_eq!(Unit::Idling.show(5_200_000.0), "5.20 ms");
    }

    #[test]
    fn a_plotted_number_is_the_same_figure() {
        for unit in [Unit::Time, Unit::Rate("tasks".into()), Unit::Throughput(64), Unit::Bytes, Unit::Idling]
        {
            assert_eq!(unit.show_plotted(unit.plotted(1234.0)), unit.show(1234.0));
        }
    }
}
