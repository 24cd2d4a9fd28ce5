//! A scenario: an object, an operation on it, those who survive, and what must then hold.

use crate::stage::{Setup, Stage};
use std::time::Duration;

/// What the lab must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// No kill does harm.
    Holds,
    /// Some kill does: the protocol is broken on purpose, and a lab that does not notice proves nothing.
    Caught,
}

/// One operation under test.
pub(crate) struct Scenario {
    /// `object/operation`, as it is named on the command line.
    pub(crate) name: String,
    pub(crate) expect: Expect,
    /// Kills at most, evenly spread.
    pub(crate) most: Option<u64>,
    /// How long the survivors may take where no death has to be looked for: the kernel or the dead one has woken them. A
    /// lost wake that a sleeper's own look makes good takes longer.
    pub(crate) prompt: Option<Duration>,
    cast: Box<dyn Fn(&mut Stage) -> Setup>,
}

impl Scenario {
    /// An operation that no kill may harm.
    pub(crate) fn new(name: &str, cast: impl Fn(&mut Stage) -> Setup + 'static) -> Scenario {
        Scenario {
            name: name.to_owned(),
            expect: Expect::Holds,
            most: None,
            prompt: None,
            cast: Box::new(cast),
        }
    }

    /// One that is broken on purpose.
    pub(crate) fn mutant(name: &str, cast: impl Fn(&mut Stage) -> Setup + 'static) -> Scenario {
        Scenario { expect: Expect::Caught, ..Scenario::new(name, cast) }
    }

    /// For an operation of too many steps, as those that copy a lot: so many kills, evenly spread, are all there are.
    pub(crate) fn at_most(self, kills: u64) -> Scenario {
        Scenario { most: Some(kills), ..self }
    }

    /// For an operation after whose death nobody has to wait for the next look of a sleeper.
    pub(crate) fn prompt(self) -> Scenario {
        // Half of the longest sleep without a look; survivors take a few milliseconds on an idle machine.
        Scenario { prompt: Some(Duration::from_millis(125)), ..self }
    }

    /// Makes the shared object and says who acts. Everything is made anew for each trial.
    pub(crate) fn set_up(&self, stage: &mut Stage) -> Setup {
        (self.cast)(stage)
    }
}
