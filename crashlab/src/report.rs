//! The table.

use crate::campaign::Tally;
use crate::place;
use crate::scenario::{Expect, Scenario};

pub(crate) fn header() {
    println!(
        "{:<36} {:>6} {:>6} {:>6} {:>9} {:>7}  result",
        "scenario", "steps", "kills", "every", "slowest", "took"
    );
}

pub(crate) fn line(scenario: &Scenario, tally: &Tally) {
    let result = match (scenario.expect, tally.is_as_expected(scenario.expect)) {
        (Expect::Holds, true) => "holds",
        (Expect::Holds, false) => "FAILS",
        (Expect::Caught, true) => "caught, as it must",
        (Expect::Caught, false) => "NOT CAUGHT: the lab is blind",
    };
    println!(
        "{:<36} {:>6} {:>6} {:>6} {:>6} ms {:>5.1} s  {result}",
        scenario.name,
        tally.steps,
        tally.kills,
        tally.every,
        tally.slowest.0.as_millis(),
        tally.took.as_secs_f64()
    );
    for failure in &tally.failures {
        println!("    killed after step {}: {}", failure.steps, failure.what);
        if let (Some(place), Expect::Holds) = (failure.place, scenario.expect) {
            let named = place::name(place).replace('\n', "\n      ");
            println!("      at {named}");
        }
    }
}
