//! Who is faster, and by how much.

use benches::Unit;

/// A difference of less than this much is none: the machine's noise is larger.
const EVEN: f64 = 1.05;

/// Our figure against another's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// We need this many times less.
    Win(f64),
    /// The difference is noise; the other's cost in ours.
    Even(f64),
    /// We need this many times more.
    Loss(f64),
}

impl Verdict {
    /// By costs: less is better.
    pub(crate) fn of(ours: f64, other: f64) -> Self {
        if ours == other {
            // Both may be nothing at all.
            return Verdict::Even(1.0);
        }
        match other / ours {
            ratio if ratio > EVEN => Verdict::Win(ratio),
            ratio if ratio < 1.0 / EVEN => Verdict::Loss(1.0 / ratio),
            ratio => Verdict::Even(ratio),
        }
    }

    /// The word for style sheets.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Verdict::Win(_) => "win",
            Verdict::Even(_) => "even",
            Verdict::Loss(_) => "loss",
        }
    }

    /// In the words that the unit has for it.
    pub(crate) fn words(self, unit: &Unit) -> String {
        let (less, more) = unit.words();
        match self {
            Verdict::Win(ratio) => format!("{}× {less}", digits(ratio)),
            Verdict::Even(ratio) => format!("even ({ratio:.2})"),
            Verdict::Loss(ratio) => format!("{}× {more}", digits(ratio)),
        }
    }
}

fn digits(ratio: f64) -> String {
    match ratio {
        r if r.is_infinite() => "∞".into(),
        r if r >= 99.5 => format!("{r:.0}"),
        r if r >= 9.95 => format!("{r:.1}"),
        r => format!("{r:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;
    use benches::Unit;

    #[test]
    fn wins_and_losses_are_said_alike() {
        assert_eq!(Verdict::of(1.0, 3.0).words(&Unit::Time), "3.00× faster");
        assert_eq!(Verdict::of(3.0, 1.0).words(&Unit::Time), "3.00× slower");
        assert_eq!(Verdict::of(1.0, 1.02).words(&Unit::Time), "even (1.02)");
        assert_eq!(Verdict::of(1.0, 250.0).words(&Unit::Bytes), "250× smaller");
    }

    #[test]
    fn nothing_at_all_is_a_figure() {
        assert_eq!(Verdict::of(0.0, 5.0).words(&Unit::Idling), "∞× less");
        assert_eq!(Verdict::of(0.0, 0.0).words(&Unit::Idling), "even (1.00)");
        assert_eq!(Verdict::of(5.0, 0.0).words(&Unit::Idling), "∞× more");
    }
}
