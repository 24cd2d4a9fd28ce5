//! The few numbers that stand for many samples.

/// The middle of the samples, and where the four fifths around it begin and end: the 10th and the 90th percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// `None` without samples.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |part: f64| -> Option<f64> {
            let place = part * (sorted.len().checked_sub(1)? as f64);
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            Some(below + (above - below) * place.fract())
        };
        Some(Spread { low: at(0.1)?, median: at(0.5)?, high: at(0.9)? })
    }
}

#[cfg(test)]
mod tests {
    use super::Spread;

    #[test]
    fn quantiles_lie_between_samples() {
        let samples: Vec<f64> = (0..=10).rev().map(f64::from).collect();
        assert_eq!(Spread::of(&samples), Some(Spread { low: 1.0, median: 5.0, high: 9.0 }));
        assert_eq!(Spread::of(&[1.0, 2.0]), Some(Spread { low: 1.1, median: 1.5, high: 1.9 }));
        assert_eq!(Spread::of(&[]), None);
    }
}
